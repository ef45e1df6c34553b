import { MAX_TIME } from '../check-options.ts'
import { TICK } from '../scheduler/clock.ts'

/** Limits how fast events are sent to a client, as a token bucket. */
export interface RateLimit {
  /** Average number of events per second. Above 0. */
  eventsPerSecond: number
  /** Number of events that may be sent at once. Default: `eventsPerSecond`, at least 1. */
  burst?: number | undefined
  /** Events over the limit: `delay` (default) queues all of them; `conflate` queues only the newest per key. */
  excess?: 'delay' | 'conflate' | undefined
}

/** Decides when frames may be sent. */
export class RateLimiter {
  /** True if only the newest frame per key is queued. */
  readonly conflates: boolean
  readonly #perMillisecond: number
  readonly #burst: number
  #tokens: number
  #countedAt = 0
  // Whether a frame waits for a token.
  #isWaiting = false

  constructor({ eventsPerSecond, burst, excess }: RateLimit) {
    this.conflates = excess === 'conflate'
    this.#perMillisecond = eventsPerSecond / 1000
    this.#burst = burst ?? Math.max(1, Math.floor(eventsPerSecond))
    this.#tokens = this.#burst
  }

  /** Returns how many frames may be written now. */
  allowed(now: number): number {
    // Not below 0, because fake timers may set the clock back.
    const elapsed = Math.max(0, now - this.#countedAt)
    this.#countedAt = now
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsed * this.#perMillisecond)
    this.#isWaiting = this.#tokens < 1
    return Math.floor(this.#tokens)
  }

  // A waiting frame is written up to two ticks after its token is there. The tokens of this time do not expire, because
  // the average would otherwise be lower than the rate.
  get #capacity(): number {
    return this.#isWaiting ? Math.max(this.#burst, 1 + 2 * TICK * this.#perMillisecond) : this.#burst
  }

  spend(frames: number): void {
    this.#tokens -= frames
  }

  /** Returns the time at which the next frame may be written. */
  nextAt(): number {
    return this.#countedAt + (1 - this.#tokens) / this.#perMillisecond
  }
}

// Two million events per millisecond, shared by all streams, are never used up.
const UNLIMITED = new RateLimiter({ eventsPerSecond: MAX_TIME })

export function rateLimiterFor(rateLimit: RateLimit | undefined): RateLimiter {
  return rateLimit ? new RateLimiter(rateLimit) : UNLIMITED
}
