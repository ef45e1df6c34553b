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
export interface RateLimiter {
  /** True if only the newest frame per key is queued. */
  readonly conflates: boolean
  /** Returns how many frames may be written now. */
  allowed(now: number): number
  spend(frames: number): void
  /** Returns the time at which the next frame may be written. */
  nextAt(): number
}

/** Allows any number of frames. */
const UNLIMITED: RateLimiter = {
  conflates: false,
  allowed: () => Number.POSITIVE_INFINITY,
  spend() {},
  nextAt: () => 0,
}

export function rateLimiterFor(rateLimit: RateLimit | undefined): RateLimiter {
  return rateLimit ? new TokenBucket(rateLimit) : UNLIMITED
}

class TokenBucket implements RateLimiter {
  readonly conflates: boolean
  readonly #perMillisecond: number
  readonly #burst: number
  #tokens: number
  #countedAt: number | undefined

  constructor({ eventsPerSecond, burst, excess }: RateLimit) {
    this.conflates = excess === 'conflate'
    this.#perMillisecond = eventsPerSecond / 1000
    this.#burst = burst ?? Math.max(1, Math.floor(eventsPerSecond))
    this.#tokens = this.#burst
  }

  allowed(now: number): number {
    const elapsed = now - (this.#countedAt ?? now)
    this.#countedAt = now
    this.#tokens = Math.min(this.#burst, this.#tokens + elapsed * this.#perMillisecond)
    return Math.floor(this.#tokens)
  }

  spend(frames: number): void {
    this.#tokens -= frames
  }

  nextAt(): number {
    return (this.#countedAt ?? 0) + (1 - this.#tokens) / this.#perMillisecond
  }
}
