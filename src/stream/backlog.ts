import type { Frame } from '../event/frame.ts'
import {
  anyKey,
  ConflatedQueue,
  conflatedKey,
  type FrameQueue,
  type KeyOf,
  RingQueue,
  takeBatch,
} from './frame-queue.ts'
import { type RateLimit, type RateLimiter, rateLimiterFor } from './rate-limit.ts'

/** The policy for an event when the backlog is full. */
export type Overflow = 'close' | 'drop-oldest' | 'drop-newest' | 'conflate'

export interface BacklogLimits {
  readonly maxBufferedBytes: number
  readonly maxBufferedEvents: number
  readonly overflow: Overflow
  readonly rateLimit?: RateLimit | undefined
}

/** Returned by `offer` when the backlog is full and its policy does not allow dropping. */
export const OVERFLOW = -1

// Frames are joined up to this many bytes, because one write may stay in Node's own buffer as a whole.
export const MAX_WRITE = 16 * 1024

/** The frames queued for one client, within its limits and its rate limit. */
export class Backlog {
  /** The bytes that count as queued of a large frame that is being written, and of events that a replay has read. */
  unwrittenBytes = 0
  readonly rateLimiter: RateLimiter
  readonly #limits: BacklogLimits
  #queue: FrameQueue = new RingQueue()
  #isRateLimited = false
  // Whether its frames are detached, until it is empty.
  #isSettled = false

  /** With `rateLimiter`, it shares the rate limit of another backlog. */
  constructor(limits: BacklogLimits, rateLimiter = rateLimiterFor(limits.rateLimit)) {
    this.#limits = limits
    this.rateLimiter = rateLimiter
  }

  get length(): number {
    return this.#queue.length
  }

  get bytes(): number {
    return this.#queue.bytes
  }

  get events(): number {
    return this.#queue.events
  }

  /** Whether there is room for a frame, which may replace a queued one. */
  fits(frame: Frame): boolean {
    const { maxBufferedBytes, maxBufferedEvents } = this.#limits
    const replaced = this.#queue.replacedBy(frame)
    const length = replaced ? this.length - 1 : this.length
    const bytes = this.unwrittenBytes + this.bytes - (replaced?.size ?? 0)
    return length < maxBufferedEvents && bytes + frame.size <= maxBufferedBytes
  }

  /** Queues a frame. Returns how many events were dropped to keep the bound, or `OVERFLOW`. */
  offer(frame: Frame, isKernelFull: boolean): number {
    if (isKernelFull) this.settle()
    // While frames are held back by the rate limit, an older one of the same key is superseded.
    if (this.#isRateLimited && this.rateLimiter.conflates) return this.#offerNewest(frame, anyKey)
    if (isKernelFull && frame.isConflated) return this.#offerNewest(frame, conflatedKey)
    // A frame larger than the bound is queued alone.
    const isAlone = this.length + this.unwrittenBytes === 0 && !isKernelFull
    if (!this.fits(frame) && !isAlone) return this.#overflow(frame)
    const replaced = this.#push(frame)
    // With another policy, the queue conflates because of a rate limit or a channel, so that nothing is dropped.
    return this.#limits.overflow === 'conflate' ? replaced : 0
  }

  /** Queues a frame, over the bound if necessary. */
  pushOverBound(frame: Frame): void {
    this.#push(frame)
  }

  /**
   * Detaches the queued frames and all further ones, because they wait longer than a turn. Otherwise, each of them
   * could retain 8 KiB.
   */
  settle(): void {
    if (this.#isSettled) return
    this.#isSettled = true
    for (let left = this.length; left > 0; left--) this.#push(this.#queue.shift() as Frame)
  }

  /** Removes the oldest frames that may be written now, and returns them as one frame. */
  take(now: number): Frame | undefined {
    const allowed = this.rateLimiter.allowed(now)
    this.#isRateLimited = allowed === 0
    if (allowed === 0) {
      this.settle()
      if (this.rateLimiter.conflates) this.#conflateBy(anyKey)
      return undefined
    }
    const batch = takeBatch(this.#queue, MAX_WRITE, allowed)
    this.rateLimiter.spend(batch?.events ?? 0)
    if (this.length === 0) this.#reset()
    return batch
  }

  /** Returns when `take` may return a frame again, in ms on the clock. */
  nextAt(): number {
    return this.rateLimiter.nextAt()
  }

  #reset(): void {
    this.#isSettled = false
    if (this.#queue instanceof ConflatedQueue) this.#queue = new RingQueue()
  }

  #offerNewest(frame: Frame, keyOf: KeyOf): number {
    this.#conflateBy(keyOf)
    if (!this.fits(frame)) return this.#overflow(frame)
    this.#push(frame)
    return 0
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
    if (this.unwrittenBytes + frame.size > this.#limits.maxBufferedBytes) return 1
    let dropped = 0
    while (!this.fits(frame)) dropped += this.#queue.shift()?.events ?? 0
    this.#push(frame)
    return dropped
  }

  #conflate(frame: Frame): number {
    const { events } = this.#queue
    this.#conflateBy(anyKey)
    return this.fits(frame) ? this.#push(frame, events) : OVERFLOW
  }

  // The queue conflates until the client has caught up, so that each frame costs the same however long the backlog is.
  #conflateBy(keyOf: KeyOf): void {
    this.#queue = this.#queue.conflate(keyOf)
  }

  /** Queues a frame. Returns how many events were dropped since `before`. */
  #push(frame: Frame, before = this.#queue.events): number {
    this.#queue.push(this.#isSettled ? frame.detach() : frame)
    return before + frame.events - this.#queue.events
  }
}
