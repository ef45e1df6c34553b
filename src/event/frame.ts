const CRLF = Buffer.from('\r\n')

/** A large frame is written in slices of this many bytes. */
export const SLICE_BYTES = 64 * 1024

// A chunk with the payload of this many bytes is a slice: the size is `fff8`, and CRLF is there twice.
const MAX_CHUNK_BYTES = SLICE_BYTES - 8

/**
 * Text encoded once and shared by every stream that sends it. One immutable allocation holds the payload inside its
 * HTTP/1.1 chunk framing: `chunk` is written to a socket, and `payload` to anything else.
 */
export class Frame {
  /**
   * The payload as an HTTP/1.1 chunk: its size in hex, CRLF, the payload, CRLF (RFC 9112 7.1). A large payload is several
   * chunks, each of them a slice, because the application may end the response between two slices.
   */
  readonly chunk: Buffer
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
    const chunk =
      size > MAX_CHUNK_BYTES
        ? chunksOf(Buffer.from(text))
        : Buffer.from(`${size.toString(16)}\r\n${text}\r\n`)
    return new Frame(chunk, size, events, key, isConflated)
  }

  /** Returns one frame with the payloads of all frames, which together MUST fit into a single chunk. */
  static join(frames: readonly Frame[]): Frame {
    const size = frames.reduce((sum, frame) => sum + frame.size, 0)
    const events = frames.reduce((sum, frame) => sum + frame.events, 0)
    const payloads = frames.map((frame) => frame.payload)
    return new Frame(Buffer.concat(inChunk(size, ...payloads)), size, events)
  }

  /** The payload without framing: a view of the chunk, or a copy of several chunks. */
  get payload(): Buffer {
    this.#payload ??=
      this.size > MAX_CHUNK_BYTES
        ? Buffer.concat(slicesOf(this.chunk, SLICE_BYTES).map(withoutFraming))
        : withoutFraming(this.chunk)
    return this.#payload
  }
}

function chunksOf(payload: Buffer): Buffer {
  return Buffer.concat(slicesOf(payload, MAX_CHUNK_BYTES).flatMap((part) => inChunk(part.length, part)))
}

function inChunk(size: number, ...payload: Buffer[]): Buffer[] {
  return [Buffer.from(`${size.toString(16)}\r\n`), ...payload, CRLF]
}

function withoutFraming(chunk: Buffer): Buffer {
  return chunk.subarray(chunk.indexOf('\n') + 1, -CRLF.length)
}

function slicesOf(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
}
