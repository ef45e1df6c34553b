import { isNode } from '../runtime.ts'
import { outsideRequests } from './context.ts'

/** Delivers to many streams what was published within a turn of the event loop. */
export interface FanOut {
  /** @internal Delivers everything pending. `isTurnOver`: streams may write at once, because nothing more can follow. */
  _fanOut(isTurnOver: boolean): void
}

/** Is flushed once at the end of a turn of the event loop. */
export interface Flushable {
  /** @internal */
  _flush(): void
}

/**
 * Runs work after the microtasks of the current turn of the event loop. Called by a timer, runs it after the sockets were
 * read.
 */
// Captured at load, so that fake timers in an application's tests cannot hold a turn. Edge runtimes have no
// `setImmediate`, or one that throws.
export const atTurnEnd: (work: () => void) => unknown =
  (isNode && globalThis.setImmediate) || ((work) => setTimeout(work, 0))

/**
 * Runs work at the end of the current turn of the event loop, with one immediate for all streams. First come the
 * fan-outs, then the flushes, so that frames queued by a fan-out go out in the same write as frames sent directly.
 */
class TurnScheduler {
  readonly #fanOuts: FanOut[] = []
  #flushes: Flushable[] = []
  #isScheduled = false

  /** Schedules a fan-out. `target` MUST NOT be scheduled already. */
  scheduleFanOut(target: FanOut): void {
    this.#fanOuts.push(target)
    this.#schedule()
  }

  /** Runs the scheduled fan-outs now, so that published events come before whatever is sent next. */
  fanOutNow(isTurnOver = false): void {
    if (this.#fanOuts.length === 0) return
    outsideRequests(() => {
      // One by one, because a filter may call this. Not those that are scheduled meanwhile, which may never end.
      for (let left = this.#fanOuts.length; left > 0; left--) this.#fanOuts.shift()?._fanOut(isTurnOver)
    })
  }

  /** Schedules a flush. Everything queued within a turn is sent in one write per stream. */
  scheduleFlush(target: Flushable): void {
    this.#flushes.push(target)
    this.#schedule()
  }

  #schedule(): void {
    if (!this.#isScheduled) outsideRequests(atTurnEnd, this.#run)
    this.#isScheduled = true
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    this.fanOutNow(true)
    const flushes = this.#flushes
    this.#flushes = []
    for (const target of flushes) target._flush()
  }
}

export const turn = new TurnScheduler()
