import type { Frame } from '../../src/event/frame.ts'
import type { Transport, TransportOwner } from '../../src/transports/transport.ts'

/** A way out whose kernel is full when a test says so. */
export class FakeTransport implements Transport {
  readonly writes: string[] = []
  readonly frames: Frame[] = []
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

  write(frame: Frame): boolean {
    if (this.isEnded || this.isDestroyed) this.lateWrites += 1
    this.frames.push(frame)
    this.writes.push(frame.payload.toString())
    return !this.isFull
  }

  end(): void {
    this.isEnded = true
  }

  destroy(): void {
    this.isDestroyed = true
  }

  /** The kernel has room again. */
  drain(): void {
    this.isFull = false
    this.#owner?._drained()
  }

  /** The kernel has taken a part. */
  move(): void {
    this.#owner?._progressed()
  }

  /** The connection is over. */
  lose(error?: Error): void {
    this.#owner?._closed(error)
  }
}
