import type { Frame } from '../event/frame.ts'
import { ConflatedQueue, type FrameQueue, type KeyOf, RingQueue, takeBatch } from './frame-queue.ts'
import { type RateLimit, type RateLimiter, rateLimiterFor } from './rate-limit.ts'

/** What happens when a backlog is at its bound and another event comes. */
export type Overflow = 'close' | 'drop-oldest' | 'drop-newest' | 'conflate'

export interface BacklogLimits {
  readonly maxBufferedBytes: number
  readonly maxBufferedEvents: number
  readonly overflow: Overflow
  readonly rateLimit?: RateLimit | undefined
}

/** The newest of each key, of all that has one. */
const anyKey: KeyOf = (frame) => frame.key ?? frame

/** The newest of each key, in channels that want no more. */
const conflatedKey: KeyOf = (frame) => (frame.isConflated && frame.key) || frame

/** The answer of a backlog that is full and must not drop anything. */
export const OVERFLOW = -1

// A run of frames is joined up to this size: what one write leaves in Node's own buffer at most, large events apart.
export const MAX_WRITE = 16 * 1024

/** The frames that wait for one client: never more than its limits allow, and no faster out than its pace. */
export class Backlog {
  readonly #limits: BacklogLimits
  readonly #pace: RateLimiter
  #queue: FrameQueue = new RingQueue()
  #isHeldByPace = false

  constructor(limits: BacklogLimits) {
    this.#limits = limits
    this.#pace = rateLimiterFor(limits.rateLimit)
  }

  get length(): number {
    return this.#queue.length
  }

  get bytes(): number {
    return this.#queue.bytes
  }

  /** Whether there is room for a frame, in place of an older one if need be. */
  fits(frame: Frame, replaced?: Frame): boolean {
    const { maxBufferedBytes, maxBufferedEvents } = this.#limits
    const length = replaced ? this.length - 1 : this.length
    const bytes = this.bytes - (replaced?.size ?? 0)
    return length < maxBufferedEvents && bytes + frame.size <= maxBufferedBytes
  }

  /** Takes a frame. Returns how many frames were dropped to hold the bound, or `OVERFLOW`. */
  offer(frame: Frame, isKernelFull: boolean): number {
    // While others wait, an older one of the same key is not worth waiting.
    if (this.#isHeldByPace && this.#pace.conflates) return this.#offerNewest(frame, anyKey)
    if (isKernelFull && frame.isConflated) return this.#offerNewest(frame, conflatedKey)
    // One that is larger than the bound goes alone.
    if (this.fits(frame) || (this.length === 0 && !isKernelFull)) return this.#push(frame)
    return this.#overflow(frame)
  }

  /** Takes a stream's last frame, over the bound if need be. */
  close(frame: Frame): void {
    this.#queue.push(frame)
  }

  /** Takes the oldest frames that may leave now, as one frame to write. */
  take(now: number): Frame | undefined {
    const allowed = this.#pace.allowed(now)
    this.#isHeldByPace = allowed === 0
    if (allowed === 0) {
      if (this.#pace.conflates) this.#conflateBy(anyKey)
      return undefined
    }
    const before = this.length
    const run = takeBatch(this.#queue, MAX_WRITE, allowed)
    this.#pace.spend(before - this.length)
    if (this.length === 0 && this.#queue instanceof ConflatedQueue) this.#queue = new RingQueue()
    return run
  }

  /** When `take` may have some again, after it had none. */
  nextAt(): number {
    return this.#pace.nextAt()
  }

  #offerNewest(frame: Frame, keyOf: KeyOf): number {
    this.#conflateBy(keyOf)
    if (!this.fits(frame, this.#queue.replacedBy(frame))) return this.#overflow(frame)
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
    if (frame.size > this.#limits.maxBufferedBytes) return 1
    let dropped = 0
    for (; !this.fits(frame); dropped++) this.#queue.shift()
    this.#push(frame)
    return dropped
  }

  #conflate(frame: Frame): number {
    const before = this.length
    this.#conflateBy(anyKey)
    this.#push(frame)
    return this.#isOver() ? OVERFLOW : before + 1 - this.length
  }

  // It goes on until the client has caught up: each frame costs the same however long the backlog is.
  #conflateBy(keyOf: KeyOf): void {
    // The newest of any key holds no more than the newest in some channels.
    const { keyOf: present } = this.#queue as Partial<ConflatedQueue>
    if (present === keyOf || present === anyKey) return
    this.#queue = ConflatedQueue.from(this.#queue, keyOf)
  }

  #isOver(): boolean {
    const { maxBufferedBytes, maxBufferedEvents } = this.#limits
    return this.length > maxBufferedEvents || this.bytes > maxBufferedBytes
  }

  #push(frame: Frame): number {
    const before = this.length
    this.#queue.push(frame)
    return before + 1 - this.length
  }
}
