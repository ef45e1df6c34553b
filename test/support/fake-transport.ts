import type { Frame } from '../../src/event/frame.ts'
import type { Transport, TransportOwner } from '../../src/transports/transport.ts'

/** A way out whose kernel is full when a test says so. */
export class FakeTransport implements Transport {
  readonly writes: string[] = []
  /** The bytes of each write, which streams share. */
  readonly chunks: Buffer[] = []
  /** Whether the next write finds the kernel full. */
  isFull = false
  isEnded = false
  isDestroyed = false
  probes = 0
  /** Writes after the end, which a stream must never make. */
  lateWrites = 0
  #owner: TransportOwner | undefined

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  probe(): void {
    this.probes += 1
  }

  bytesOf(frame: Frame): Buffer {
    return frame.payload
  }

  write(bytes: Buffer): boolean {
    if (this.isEnded || this.isDestroyed) this.lateWrites += 1
    this.chunks.push(bytes)
    this.writes.push(bytes.toString())
    return !this.isFull
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** The kernel has room again, for one write if `isFull`. */
  drain({ isFull = false } = {}): void {
    this.isFull = isFull
    this.#owner?._drained()
  }

  /** The connection is over. */
  lose(error?: Error): void {
    this.#owner?._closed(error)
  }
}
