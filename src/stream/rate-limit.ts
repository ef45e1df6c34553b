/** A limit of how fast a client is sent events: a token bucket. */
export interface RateLimit {
  /** Events a second, in the long run. */
  eventsPerSecond: number
  /** Events that may leave at once. Default: those of one second, at least one. */
  burst?: number | undefined
  /** What happens to more: `delay` (default), they wait within the bound; `conflate`, the newest of each key waits. */
  excess?: 'delay' | 'conflate' | undefined
}

/** How fast frames may leave. */
export interface RateLimiter {
  /** Whether of what waits for its turn only the newest of each key is kept. */
  readonly conflates: boolean
  /** How many frames may be written now. */
  allowed(now: number): number
  spend(frames: number): void
  /** When the next frame may be written. */
  nextAt(): number
}

/** As many as there are. */
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
