import { createHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** How busy the core of a worker was. */
export interface WorkerLoad {
  /** The part of the time in which the event loop was active, between 0 and 1, in the busiest five seconds. */
  readonly utilization: number
  /** The 99th percentile of the delay of timers, in ms. */
  readonly loopDelay: number
  /** The 99th percentile of the time that bytes waited because of other streams of this worker, in ms. */
  readonly ownDelay: number
}

const WINDOW = 5000
const RESOLUTION = 10
const PERCENTILE = 99

/** Measures how busy this process is. */
export class LoadMonitor {
  readonly #timers = monitorEventLoopDelay({ resolution: RESOLUTION })
  readonly #waits = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 2 })
  #window = performance.eventLoopUtilization()
  #windowStart = performance.now()
  #utilization: number | undefined
  #turnStart = 0
  #isInTurn = false

  start(): void {
    this.#timers.enable()
    this.#window = performance.eventLoopUtilization()
    this.#windowStart = performance.now()
  }

  /**
   * Records that bytes were read at a time of `performance.now()`. All bytes of a turn had arrived at its beginning.
   * Bytes that are read later in the turn have waited for this process.
   */
  read(now: number): void {
    if (!this.#isInTurn) {
      this.#isInTurn = true
      this.#turnStart = now
      setImmediate(() => {
        this.#isInTurn = false
      })
    }
    this.#waits.record(Math.max(1, Math.round((now - this.#turnStart) * 1000)))
  }

  /** Returns the load since the start. */
  report(): WorkerLoad {
    const { utilization } = performance.eventLoopUtilization(this.#window)
    const now = performance.now()
    if (now - this.#windowStart >= WINDOW) {
      this.#utilization = Math.max(this.#utilization ?? 0, utilization)
      this.#window = performance.eventLoopUtilization()
      this.#windowStart = now
    }
    return {
      // A run shorter than one window has no complete window.
      utilization: this.#utilization ?? utilization,
      // The measured delay includes the interval of the timer.
      loopDelay:
        this.#timers.count === 0 ? 0 : Math.max(0, this.#timers.percentile(PERCENTILE) / 1e6 - RESOLUTION),
      ownDelay: this.#waits.count === 0 ? 0 : this.#waits.percentile(PERCENTILE) / 1000,
    }
  }
}
