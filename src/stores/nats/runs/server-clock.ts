import { clock } from '../../../scheduler/clock.ts'

// How long a measurement counts, in ms. Clocks differ by less than a tenth of a second after that.
const VALID_FOR = 600_000

/**
 * The clock of the server, because the clocks of processes differ. It is measured at most every ten minutes, and only
 * if its time is needed.
 */
export class ServerClock {
  readonly #measure: () => Promise<number>
  // The time of the server when the local clock was at 0.
  #offset = 0
  #validUntil = Number.NEGATIVE_INFINITY
  #measuring: Promise<void> | undefined

  constructor(measure: () => Promise<number>) {
    this.#measure = measure
  }

  /** Returns the time in ms since 1970. */
  async now(): Promise<number> {
    if (clock.read() >= this.#validUntil) await this.#update()
    return clock.read() + this.#offset
  }

  /** Measures again before the next use, because the process may have been suspended, or the server replaced. */
  reset(): void {
    this.#validUntil = Number.NEGATIVE_INFINITY
  }

  #update(): Promise<void> {
    this.#measuring ??= this.#measureOffset().finally(() => {
      this.#measuring = undefined
    })
    return this.#measuring
  }

  async #measureOffset(): Promise<void> {
    const before = clock.read()
    const time = await this.#measure()
    const after = clock.read()
    this.#offset = time - (before + after) / 2
    this.#validUntil = after + VALID_FOR
  }
}
