import type { ReadableStreamDefaultController } from 'node:stream/web'
import type { Frame } from '../frame.ts'
import type { Transport, TransportOwner } from './transport.ts'

// What waits in the body before it counts as full, in bytes. The server that reads it has a buffer of its own.
const HIGH_WATER_MARK = 16 * 1024

/** The way out through the body of a web `Response`. */
export class WebTransport implements Transport {
  /** What the response is made with. It begins with `opening`. */
  readonly body: ReadableStream<Uint8Array>
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #owner: TransportOwner | undefined
  #isFull = false
  #isEnding = false

  constructor(opening: string) {
    const source = {
      start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
        this.#controller = controller
        controller.enqueue(new TextEncoder().encode(opening))
      },
      pull: () => this.#pull(),
      cancel: () => this.#over(),
    }
    // [spec] The default strategy counts chunks, whatever their size.
    const inBytes = { highWaterMark: HIGH_WATER_MARK, size: (chunk?: Uint8Array) => chunk?.byteLength ?? 0 }
    this.body = new ReadableStream<Uint8Array>(source, inBytes)
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  write(frame: Frame): boolean {
    this.#controller?.enqueue(frame.payload)
    this.#isFull = this.#room <= 0
    return !this.#isFull
  }

  // The server that reads the body has the connection.
  probe(): void {}

  end(): void {
    this.#isEnding = true
    queueMicrotask(() => this.#endWhenRead())
  }

  destroy(): void {
    // A name that servers know: nobody is to be told that a client was cut off.
    this.#controller?.error(new DOMException('The stream was cut off.', 'AbortError'))
    this.#controller = undefined
  }

  /** The client has left. */
  leave(): void {
    this.destroy()
    this.#over()
  }

  get #room(): number {
    return this.#controller?.desiredSize ?? 0
  }

  // [spec] Called from within `enqueue` too, and for as long as there is room.
  #pull(): void {
    if (this.#isEnding) this.#endWhenRead()
    else if (this.#isFull) {
      this.#isFull = false
      this.#owner?._room()
    }
  }

  // A body that is closed says nothing any more of what still waits in it.
  #endWhenRead(): void {
    if (this.#room < HIGH_WATER_MARK) return
    this.#controller?.close()
    this.#over()
  }

  #over(): void {
    this.#controller = undefined
    const owner = this.#owner
    this.#owner = undefined
    owner?._gone()
  }
}
