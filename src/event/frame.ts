const CRLF = Buffer.from('\r\n')

/** A larger frame is written in slices of this many bytes. */
export const SLICE_BYTES = 64 * 1024

/**
 * Text encoded once and shared by every stream that sends it. One immutable allocation holds the payload inside its
 * HTTP/1.1 chunk framing: `chunk` is written to a socket, and `payload` to any other output.
 */
export class Frame {
  /**
   * The payload as a whole HTTP/1.1 chunk: its size in hex, CRLF, the payload, CRLF (RFC 9112 7.1). Only `detach`
   * replaces it, by a copy.
   */
  chunk: Buffer
  /** Size of the payload in bytes. */
  readonly size: number
  /** Number of events in the payload: 0 for a comment, several for joined frames. */
  readonly events: number
  /** The value this frame updates. A conflating queue keeps the newest frame per key. */
  readonly key: string | undefined
  /** True if every queue MUST keep only the newest frame of its key. */
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

  /** Returns a frame of bytes that are no text, such as compressed events. */
  static ofBytes(bytes: Uint8Array): Frame {
    const size = bytes.length
    return new Frame(Buffer.concat([Buffer.from(`${size.toString(16)}\r\n`), bytes, CRLF]), size, 0)
  }

  /** Returns one frame with the payloads of all frames in a single chunk. */
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

  /**
   * Copies a small frame out of the 8 KiB that Node.js allocates for several buffers. Otherwise, a frame that is kept
   * would retain all of them.
   */
  detach(): this {
    if (this.chunk.length < this.chunk.buffer.byteLength) {
      const copy = Buffer.allocUnsafeSlow(this.chunk.length)
      this.chunk.copy(copy)
      this.chunk = copy
      this.#payload = undefined
    }
    return this
  }

  /** The payload without framing, as a view of the chunk. */
  get payload(): Buffer {
    this.#payload ??= this.chunk.subarray(-CRLF.length - this.size, -CRLF.length)
    return this.#payload
  }
}
