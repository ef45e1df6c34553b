import { outsideRequests } from '../scheduler/context.ts'

/** The time between the appends of a run. The first event after a longer time is appended at once. */
export class AppendPace {
  readonly #interval: number
  #appendedAt = Number.NEGATIVE_INFINITY
  #resume = () => {}

  /** `interval` in ms. 0: there is no time between them. */
  constructor(interval: number) {
    this.#interval = interval
  }

  /** Resolves when the next append is due, or `skip` is called. Undefined if it is due already. */
  untilDue(): Promise<void> | undefined {
    const left = this.#interval > 0 ? this.#appendedAt + this.#interval - performance.now() : 0
    return left > 0 ? this.#pause(left) : undefined
  }

  /** Counts the interval from now on. */
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
