import { outsideRequests } from '../scheduler/context.ts'

/** Delays the appends of a run by the time between them. The first event after a longer time is appended at once. */
export class AppendPace {
  readonly #interval: number
  #appendedAt = Number.NEGATIVE_INFINITY
  #resume = () => {}

  /** `interval` in ms. 0: no delay. */
  constructor(interval: number) {
    this.#interval = interval
  }

  /** Resolves when the next append is due, or `skip` is called. Undefined if it is due already. */
  untilDue(): Promise<void> | undefined {
    const left = this.#interval > 0 ? this.#appendedAt + this.#interval - performance.now() : 0
    return left > 0 ? this.#pause(left) : undefined
  }

  /** Starts the interval again. */
  restart(): void {
    if (this.#interval > 0) this.#appendedAt = performance.now()
  }

  /** Makes the next append due. */
  skip(): void {
    this.#appendedAt = Number.NEGATIVE_INFINITY
    this.#resume()
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = outsideRequests(setTimeout, resolve, ms)
      this.#resume = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
