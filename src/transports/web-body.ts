import type { ReadableStreamDefaultController } from 'node:stream/web'
import type { Transport, TransportOwner } from './transport.ts'

// Bytes that the body buffers before it counts as full. The server that reads it has a buffer of its own.
const HIGH_WATER_MARK = 16 * 1024

// The smallest size with which a chunk counts, in bytes. A chunk costs more than its bytes, and a body that is not read
// MUST fill up.
const MIN_SIZE = 1024

/** Writes to the body of a web `Response`. */
export class WebTransport implements Transport {
  /** The body for the response. It begins with the preamble. */
  readonly body: ReadableStream<Uint8Array>
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #owner: TransportOwner | undefined
  // A lower bound of the room in the body. `desiredSize` is read only when it is used up, because reading costs as much
  // as writing.
  #room = 0
  #isFull = false
  #isEnding = false
  // Lets the body call `pull` again.
  #resolvePull = () => {}

  constructor(preamble: string) {
    const source = {
      start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
        this.#controller = controller
        // Servers such as Next send the response headers with the first chunk, even if it is empty.
        controller.enqueue(new TextEncoder().encode(preamble))
      },
      pull: () => this.#pull(),
      cancel: () => this.#finish(),
    }
    // [spec] The default strategy counts chunks, whatever their size.
    this.body = new ReadableStream<Uint8Array>(source, { highWaterMark: HIGH_WATER_MARK, size: sizeOf })
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  get hasUnsent(): boolean {
    return (this.#controller?.desiredSize ?? HIGH_WATER_MARK) < HIGH_WATER_MARK
  }

  write(bytes: Buffer): boolean {
    // A copy, because a reader may transfer or alter a chunk. Otherwise, all streams that share the frame would be
    // affected.
    this.#controller?.enqueue(new Uint8Array(bytes))
    this.#room -= sizeOf(bytes)
    if (this.#room <= 0) this.#room = this.#controller?.desiredSize ?? 0
    this.#isFull = this.#room <= 0
    if (this.#isFull) this.#resolvePull()
    return !this.#isFull
  }

  end(): void {
    this.#isEnding = true
    this.#resolvePull()
    queueMicrotask(() => this.#endWhenRead())
  }

  destroy(): void {
    // Servers do not report an error with this name as a failure.
    this.#controller?.error(new DOMException('The stream was destroyed.', 'AbortError'))
    this.#release()
  }

  /** Ends the body because the client has disconnected. */
  disconnect(): void {
    // Closed and not errored, because a server that cancels an errored body gets an unhandled rejection.
    this.#controller?.close()
    this.#finish()
  }

  // [spec] While the body has room, `pull` is called again, even from inside `enqueue`, unless its last promise is
  // pending. The promise stays pending until the body is full, because a `pull` per write costs more than the write.
  #pull(): Promise<void> | undefined {
    if (this.#isEnding) this.#endWhenRead()
    else if (this.#isFull) this.#drained()
    if (this.#isEnding || this.#isFull) return undefined
    return new Promise((resolve) => {
      this.#resolvePull = resolve
    })
  }

  #drained(): void {
    this.#isFull = false
    this.#owner?._drained()
  }

  // The body is closed once all of it was read, because a closed body no longer reports the bytes that are still
  // buffered.
  #endWhenRead(): void {
    this.#owner?._drained()
    if (!this.#controller || this.hasUnsent) return
    this.#controller.close()
    this.#finish()
  }

  #finish(): void {
    const owner = this.#owner
    this.#release()
    owner?._closed()
  }

  #release(): void {
    this.#controller = undefined
    this.#owner = undefined
    this.#room = 0
  }
}

function sizeOf(chunk?: Uint8Array): number {
  return Math.max(chunk?.byteLength ?? 0, MIN_SIZE)
}
