import { type Flushable, turn } from '../scheduler/turn.ts'

/** Reports the number of dropped events, at most once in a turn of the event loop. */
export class DropReport implements Flushable {
  readonly #report: (dropped: number) => void
  #dropped = 0
  #isScheduled = false

  constructor(report: (dropped: number) => void) {
    this.#report = report
  }

  add(dropped: number): void {
    this.#dropped += dropped
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  /** @internal */
  _flush(): void {
    const dropped = this.#dropped
    this.#dropped = 0
    // What a listener drops is part of the next report. Otherwise, a listener that sends would cause one in each turn.
    this.#isScheduled = true
    if (dropped > 0) this.#report(dropped)
    this.#isScheduled = false
  }
}
