import type { Frame } from './frame.ts'
import { ConflatedQueue, type FrameQueue, RingQueue, takeRun } from './frame-queue.ts'

/** What happens when a backlog is at its bound and another event comes. */
export type Overflow = 'close' | 'drop-oldest' | 'drop-newest' | 'conflate'

export interface BacklogLimits {
  readonly maxBufferedBytes: number
  readonly maxBufferedEvents: number
  readonly overflow: Overflow
}

/** The answer of a backlog that is full and must not drop anything. */
export const OVERFLOW = -1

/** The frames that wait for one client: never more than its limits allow. */
export class Backlog {
  readonly #limits: BacklogLimits
  #queue: FrameQueue = new RingQueue()

  constructor(limits: BacklogLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#queue.length
  }

  get bytes(): number {
    return this.#queue.bytes
  }

  fits(frame: Frame): boolean {
    const { maxBufferedBytes, maxBufferedEvents } = this.#limits
    return this.length < maxBufferedEvents && this.bytes + frame.size <= maxBufferedBytes
  }

  /** Takes a frame. Returns how many frames were dropped to hold the bound, or `OVERFLOW`. */
  offer(frame: Frame): number {
    return this.fits(frame) ? this.#push(frame) : this.#overflow(frame)
  }

  /** Takes the oldest frames, `maxBytes` of them but at least one, as one frame. */
  take(maxBytes: number): Frame | undefined {
    const run = takeRun(this.#queue, maxBytes)
    if (this.length === 0) this.#stopConflating()
    return run
  }

  #overflow(frame: Frame): number {
    switch (this.#limits.overflow) {
      case 'close':
        return OVERFLOW
      case 'drop-newest':
        return 1
      case 'drop-oldest':
        return this.#dropOldest(frame)
      case 'conflate':
        return this.#conflate(frame)
    }
  }

  #dropOldest(frame: Frame): number {
    if (frame.size > this.#limits.maxBufferedBytes) return 1
    let dropped = 0
    for (; !this.fits(frame); dropped++) this.#queue.shift()
    this.#push(frame)
    return dropped
  }

  // Conflating goes on until the client has caught up: each event costs the same however long the backlog is.
  #conflate(frame: Frame): number {
    const before = this.length
    if (!(this.#queue instanceof ConflatedQueue)) this.#queue = ConflatedQueue.from(this.#queue)
    this.#push(frame)
    const { maxBufferedBytes, maxBufferedEvents } = this.#limits
    return this.length > maxBufferedEvents || this.bytes > maxBufferedBytes
      ? OVERFLOW
      : before + 1 - this.length
  }

  #stopConflating(): void {
    if (this.#queue instanceof ConflatedQueue) this.#queue = new RingQueue()
  }

  #push(frame: Frame): number {
    const before = this.length
    this.#queue.push(frame)
    return before + 1 - this.length
  }
}
