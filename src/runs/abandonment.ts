import type { MaybePromise } from '../event/source.ts'
import { outsideRequests } from '../scheduler/context.ts'

// How often the store is checked for subscribers within the time after which a run is abandoned.
const CHECKS = 4

/** Stops a run that has had no subscriber for a time. */
export class Abandonment {
  readonly #time: number
  readonly #isWatched: () => MaybePromise<boolean>
  readonly #onAbandoned: () => void
  readonly #timer: ReturnType<typeof setInterval>
  #watchedAt = performance.now()

  /** `isWatched` may reject if the store cannot determine it, which counts as watched. */
  constructor(time: number, isWatched: () => MaybePromise<boolean>, onAbandoned: () => void) {
    this.#time = time
    this.#isWatched = isWatched
    this.#onAbandoned = onAbandoned
    this.#timer = outsideRequests(setInterval, () => void this.#check(), Math.max(1, time / CHECKS))
    this.#timer.unref?.()
  }

  end(): void {
    clearInterval(this.#timer)
  }

  async #check(): Promise<void> {
    try {
      const isWatched = await this.#isWatched()
      const now = performance.now()
      if (isWatched) this.#watchedAt = now
      else if (now - this.#watchedAt >= this.#time) this.#onAbandoned()
    } catch {
      this.#watchedAt = performance.now()
    }
  }
}
