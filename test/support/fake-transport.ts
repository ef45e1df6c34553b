import type { Transport, TransportOwner } from '../../src/transports/transport.ts'

// The position of a client, as a block of its own.
const POSITION = /(?<=^|\n)id: [^\n]*\nevent: position\ndata: \{\}\n\n/g

/** A transport that keeps what is written, and is full while a test sets `isFull`. */
export class FakeTransport implements Transport {
  /** All writes, without the positions of a hub. */
  readonly writes: string[] = []
  /** All writes. */
  readonly all: string[] = []
  /** The bytes of each write with more than a position. Streams may share them. */
  readonly chunks: Buffer[] = []
  /** Whether the next write fills the transport. */
  isFull = false
  hasUnsent = false
  isEnded = false
  isDestroyed = false
  probes = 0
  /** The number of writes after the end, which MUST stay 0. */
  lateWrites = 0
  #owner: TransportOwner | undefined

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  probe(): void {
    this.probes += 1
  }

  write(bytes: Buffer): boolean {
    if (this.isEnded || this.isDestroyed) this.lateWrites += 1
    const text = bytes.toString()
    const other = text.replace(POSITION, '')
    this.all.push(text)
    if (other !== '') {
      this.chunks.push(bytes)
      this.writes.push(other)
    }
    return !this.isFull
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** Notifies the stream of a drain. With `isFull`, one more write fills the transport again. */
  drain({ isFull = false } = {}): void {
    this.isFull = isFull
    this.#owner?._drained()
  }

  /** Notifies the stream that the connection is closed. */
  lose(error?: Error): void {
    this.#owner?._closed(error)
  }
}
