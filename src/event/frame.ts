const CRLF = Buffer.from('\r\n')

/**
 * Text encoded once, shared by every stream that gets it: immutable bytes with the HTTP/1.1 chunk framing around the
 * payload in one allocation, so that the same frame serves a bare socket (`chunk`) and any other way out (`payload`).
 */
export class Frame {
  /** The payload as a whole HTTP/1.1 chunk: its size in hex, CRLF, the payload, CRLF (RFC 9112 7.1). */
  readonly chunk: Buffer
  /** Bytes of the payload. */
  readonly size: number
  /** How many events the payload holds: none for a comment, several when frames were joined. */
  readonly events: number
  /** What it is the newest value of, when a queue conflates. */
  readonly key: string | undefined
  /** Whether only the newest frame of its key may wait for a client. */
  readonly isConflated: boolean
  #payload: Buffer | undefined

  private constructor(chunk: Buffer, size: number, events: number, key?: string, isConflated = false) {
    this.chunk = chunk
    this.size = size
    this.events = events
    this.key = key
    this.isConflated = isConflated
  }

  static of(text: string, events: number, key?: string, isConflated = false): Frame {
    const size = Buffer.byteLength(text)
    return new Frame(Buffer.from(`${size.toString(16)}\r\n${text}\r\n`), size, events, key, isConflated)
  }

  /** The frames as one: one chunk, one write. */
  static join(frames: readonly Frame[]): Frame {
    const size = frames.reduce((sum, frame) => sum + frame.size, 0)
    const events = frames.reduce((sum, frame) => sum + frame.events, 0)
    const payloads = frames.map((frame) => frame.payload)
    return new Frame(
      Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), ...payloads, CRLF]),
      size,
      events,
    )
  }

  /** The payload alone: a view of the chunk. */
  get payload(): Buffer {
    this.#payload ??= this.chunk.subarray(-CRLF.length - this.size, -CRLF.length)
    return this.#payload
  }
}
