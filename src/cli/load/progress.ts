import type { Terminal } from '../terminal.ts'
import { sharedNow } from './clock.ts'
import type { Figures } from './figures.ts'
import { formatCount, formatMs } from './format.ts'
import { errorsOf } from './report.ts'

const LIVE_INTERVAL = 500
const PLAIN_INTERVAL = 5000
const DEFAULT_COLUMNS = 80

/** Shows how a run proceeds: one line that is replaced on a terminal, otherwise a line every five seconds. */
export class Progress {
  readonly #figures: Figures
  readonly #streams: number
  readonly #terminal: Terminal
  readonly #startAt: number
  readonly #timer: NodeJS.Timeout
  #events = 0
  /** True while a line is on the terminal that is to be replaced. */
  #isShown = false
  #shownAt = sharedNow()

  /** `startAt` is a time of `sharedNow`. */
  constructor(figures: Figures, streams: number, terminal: Terminal, startAt: number) {
    this.#figures = figures
    this.#streams = streams
    this.#terminal = terminal
    this.#startAt = startAt
    this.#timer = setInterval(() => this.#show(), terminal.isInteractive ? LIVE_INTERVAL : PLAIN_INTERVAL)
  }

  /** Ends the display, and removes its line from a terminal. */
  stop(): void {
    clearInterval(this.#timer)
    if (this.#isShown) this.#terminal.err.write('\r\x1b[K')
    this.#isShown = false
  }

  #show(): void {
    const { err, isInteractive, columns } = this.#terminal
    const line = this.#line()
    if (!isInteractive) {
      err.write(`${line}\n`)
      return
    }
    // A line that wraps could not be replaced. Some terminals report a width of 0.
    this.#isShown = true
    err.write(`\r${line.slice(0, (columns || DEFAULT_COLUMNS) - 1)}\x1b[K`)
  }

  #line(): string {
    const counts = this.#figures.counts()
    const now = sharedNow()
    const perSecond = ((counts.events - this.#events) / Math.max(1, now - this.#shownAt)) * 1000
    this.#events = counts.events
    this.#shownAt = now
    const delay = this.#figures.durations('delay')
    const parts = [
      `${Math.max(0, Math.round((now - this.#startAt) / 1000))} s`,
      `${formatCount(counts.open)} of ${formatCount(this.#streams)} open`,
      `${formatCount(Math.round(perSecond))} events/s`,
      ...(delay ? [`delay p50 ${formatMs(delay.p50)}, p99 ${formatMs(delay.p99)}`] : []),
      ...(counts.numbered > 0 ? [`lost ${formatCount(counts.lost)}`] : []),
      `errors ${formatCount(errorsOf(counts))}`,
    ]
    return parts.join('   ')
  }
}
