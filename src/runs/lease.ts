import { outsideRequests } from '../scheduler/context.ts'
import type { RunStore } from '../stores/run-store.ts'

/** How often a lease is renewed, and the owners of watched runs are checked, within the time of a lease. */
export const TICKS_PER_LEASE = 6

/**
 * The right of this process to run sources. It is renewed while the process has runs. A process that was frozen for
 * longer than the lease loses it, because others may have ended its runs.
 */
export class Lease {
  readonly #store: RunStore
  readonly #time: number
  readonly #onLost: () => void
  #timer: ReturnType<typeof setInterval> | undefined
  #begun: Promise<void> | undefined
  #tickedAt = 0
  #term = 0

  /** `onLost` is called when the process was frozen. The lease then begins again. */
  constructor(store: RunStore, time: number, onLost: () => void) {
    this.#store = store
    this.#time = time
    this.#onLost = onLost
  }

  /** Whether the process was not frozen since the last renewal. An outage of the store does not count. */
  get isHeld(): boolean {
    return performance.now() - this.#tickedAt <= this.#time
  }

  /** Changes with each loss of the lease. */
  get term(): number {
    return this.#term
  }

  /** Renews the lease, and keeps it until `end`. Rejects with the error of the store. */
  begin(): Promise<void> {
    this.#begun ??= this.#begin()
    return this.#begun
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#begun = undefined
  }

  async #begin(): Promise<void> {
    this.#tickedAt = performance.now()
    this.#timer = outsideRequests(setInterval, () => this.#tick(), this.#time / TICKS_PER_LEASE)
    this.#timer.unref?.()
    try {
      await this.#store.renew()
    } catch (error) {
      this.end()
      throw error
    }
  }

  #tick(): void {
    if (!this.isHeld) {
      this.#term += 1
      this.#onLost()
    }
    this.#tickedAt = performance.now()
    // The next tick retries.
    Promise.resolve()
      .then(() => this.#store.renew())
      .catch(() => {})
  }
}
