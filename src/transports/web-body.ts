import type { ReadableStreamDefaultController } from 'node:stream/web'
import type { Frame } from '../event/frame.ts'
import type { Transport, TransportOwner } from './transport.ts'

// What waits in the body before it counts as full, in bytes. The server that reads it has a buffer of its own.
const HIGH_WATER_MARK = 16 * 1024

// What a chunk counts at least, in bytes: it costs more than it holds, and a body that nobody reads is to fill up.
const MIN_SIZE = 1024

// A piece of a large frame, in bytes.
const PIECE = 64 * 1024

const NOTHING = new Uint8Array()

/** The way out through the body of a web `Response`. */
export class WebTransport implements Transport {
  /** What the response is made with. It begins with `opening`. */
  readonly body: ReadableStream<Uint8Array>
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #owner: TransportOwner | undefined
  // Of a large frame, what the body has had no room for.
  #rest: Uint8Array = NOTHING
  // What the body has room for at least. Asked for when that is used up: to ask costs as much as to write.
  #room = 0
  #isFull = false
  #isEnding = false
  // Has the body ask for more again.
  #askAgain = () => {}

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
    const inBytes = { highWaterMark: HIGH_WATER_MARK, size: sizeOf }
    this.body = new ReadableStream<Uint8Array>(source, inBytes)
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  write(frame: Frame): boolean {
    this.#rest = frame.payload
    return this.#writeOn()
  }

  // The server that reads the body has the connection.
  probe(): void {}

  end(): void {
    this.#isEnding = true
    this.#askAgain()
    queueMicrotask(() => this.#endWhenRead())
  }

  destroy(): void {
    // A name that servers know: nobody is to be told that a client was cut off.
    this.#controller?.error(new DOMException('The stream was cut off.', 'AbortError'))
    this.#letGo()
  }

  /** The client has left. */
  leave(): void {
    // Not an error: nobody is there to be told, and a server that cancels a broken body gets a rejection for it.
    this.#controller?.close()
    this.#over()
  }

  // The whole of it once all was read, whatever the size of the chunks.
  get #roomNow(): number {
    return this.#controller?.desiredSize ?? 0
  }

  // [spec] Called from within `enqueue` too, and for as long as there is room; but not before its promise is resolved.
  // It is only then that somebody waits for room: to be asked at each write and each read would cost more than these.
  #pull(): Promise<void> | undefined {
    if (this.#isEnding) this.#endWhenRead()
    else if (this.#isFull) this.#refill()
    if (this.#isEnding || this.#isFull) return undefined
    return new Promise((resolve) => {
      this.#askAgain = resolve
    })
  }

  #refill(): void {
    this.#owner?._progressed()
    if (this.#writeOn()) this.#owner?._drained()
  }

  // In pieces: a client that is slow with a large frame could not be told from one that has stalled. And as copies: who
  // transfers or alters a chunk, a byte stream for one, would take it away from all who share the frame.
  #writeOn(): boolean {
    this.#isFull = false
    while (this.#rest.length > 0 && !this.#isFull) {
      const isLast = this.#rest.length <= PIECE
      const piece = isLast ? this.#rest : this.#rest.subarray(0, PIECE)
      this.#rest = isLast ? NOTHING : this.#rest.subarray(PIECE)
      this.#controller?.enqueue(new Uint8Array(piece))
      this.#room -= sizeOf(piece)
      if (this.#room <= 0) this.#room = this.#roomNow
      this.#isFull = this.#room <= 0
    }
    if (this.#isFull) this.#askAgain()
    return !this.#isFull
  }

  // A body that is closed says nothing any more of what still waits in it.
  #endWhenRead(): void {
    this.#owner?._progressed()
    if (this.#roomNow < HIGH_WATER_MARK) return
    this.#controller?.close()
    this.#over()
  }

  #over(): void {
    const owner = this.#owner
    this.#letGo()
    owner?._closed()
  }

  #letGo(): void {
    this.#controller = undefined
    this.#owner = undefined
    this.#rest = NOTHING
    this.#room = 0
  }
}

function sizeOf(chunk?: Uint8Array): number {
  return Math.max(chunk?.byteLength ?? 0, MIN_SIZE)
}
