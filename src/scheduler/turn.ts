import { setNodeImmediate } from '../runtime.ts'
import { outsideRequests } from './context.ts'

/** Delivers the events that were published within a turn of the event loop to many streams. */
export interface FanOut {
  /**
   * @internal Delivers all pending events. With `isTurnOver`, streams may write at once, because no further event
   * follows.
   */
  _fanOut(isTurnOver: boolean): void
}

/** Sends positions in the log at the end of a turn of the event loop. */
export interface PositionSender {
  /** @internal Called after the fan-outs, so that positions go out in the same write as the events before them. */
  _sendPositions(): void
}

/** An object that is flushed once at the end of a turn of the event loop. */
export interface Flushable {
  /** @internal */
  _flush(): void
}

/** An object whose response headers wait for the end of a turn of the event loop. */
export interface HeaderSender {
  /** @internal */
  _sendHeaders(): void
}

/**
 * Runs work after the microtasks of the current turn of the event loop. A call by a timer runs the work after the
 * sockets were read.
 */
export const atTurnEnd: (work: () => void) => unknown = setNodeImmediate ?? ((work) => setTimeout(work, 0))

/**
 * Runs work at the end of the current turn of the event loop, with one immediate for all streams. Fan-outs run first,
 * then positions, flushes and response headers, so that all of them go out in one write per stream.
 */
class TurnScheduler {
  readonly #fanOuts: FanOut[] = []
  readonly #positions = new Phase<PositionSender>()
  readonly #flushes = new Phase<Flushable>()
  readonly #headers = new Phase<HeaderSender>()
  #isScheduled = false
  #running = 0

  /** Whether a fan-out is running, in which filters and listeners of the application are called. */
  get isFanningOut(): boolean {
    return this.#running > 0
  }

  /** Schedules a fan-out. `target` MUST NOT be scheduled already. */
  scheduleFanOut(target: FanOut): void {
    this.#fanOuts.push(target)
    this.#schedule()
  }

  /** Runs the scheduled fan-outs now, so that published events precede the next event that is sent. */
  fanOutNow(isTurnOver = false): void {
    if (this.#fanOuts.length === 0) return
    outsideRequests(() => this.#fanOut(isTurnOver))
  }

  #fanOut(isTurnOver: boolean): void {
    this.#running += 1
    try {
      // One by one, because a filter may call this method. Fan-outs that are scheduled meanwhile wait for the next
      // call, because filters that publish could otherwise prolong the loop forever.
      for (let left = this.#fanOuts.length; left > 0; left--) this.#fanOuts.shift()?._fanOut(isTurnOver)
    } finally {
      this.#running -= 1
    }
  }

  /** Schedules positions. `target` MUST NOT be scheduled already. */
  schedulePositions(target: PositionSender): void {
    this.#positions.push(target)
    this.#schedule()
  }

  /** Schedules a flush. Everything queued within a turn is sent in one write per stream. */
  scheduleFlush(target: Flushable): void {
    this.#flushes.push(target)
    this.#schedule()
  }

  /** Schedules response headers, unless a flush sends them before. */
  scheduleHeaders(target: HeaderSender): void {
    this.#headers.push(target)
    this.#schedule()
  }

  #schedule(): void {
    if (!this.#isScheduled) outsideRequests(atTurnEnd, this.#run)
    this.#isScheduled = true
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    this.fanOutNow(true)
    for (const target of this.#positions.take()) target._sendPositions()
    for (const target of this.#flushes.take()) target._flush()
    for (const target of this.#headers.take()) target._sendHeaders()
  }
}

/** The targets of one phase of the end of a turn. */
class Phase<Target> {
  #targets: Target[] = []

  push(target: Target): void {
    this.#targets.push(target)
  }

  /** Removes and returns the targets. Targets that are pushed afterwards belong to a later turn. */
  take(): readonly Target[] {
    const targets = this.#targets
    if (targets.length > 0) this.#targets = []
    return targets
  }
}

export const turn = new TurnScheduler()
