import { printable } from './printable.ts'
import type { Terminal } from './terminal.ts'

/** The shortest time between two lines that cannot be replaced, in ms. */
const INTERVAL = 5000

/** A line about progress, which is replaced in place on a terminal, and otherwise repeated every five seconds. */
export class ProgressLine {
  readonly #terminal: Terminal
  readonly #now: () => number
  #isShown = false
  #nextAt: number

  constructor(terminal: Terminal, now: () => number = Date.now) {
    this.#terminal = terminal
    this.#now = now
    // A command that completes sooner prints no line.
    this.#nextAt = now() + INTERVAL
  }

  /** Shows a text of one line, which is requested only if it is due. */
  show(text: () => string): void {
    const { err, isInteractive, columns } = this.#terminal
    if (isInteractive) {
      this.#isShown = true
      // The last column stays empty, because some terminals continue on the next line otherwise.
      err.write(`\r\x1b[2K${printable(text(), Math.max(10, columns - 2))}`)
      return
    }
    if (this.#now() < this.#nextAt) return
    this.#nextAt = this.#now() + INTERVAL
    err.write(`${printable(text())}\n`)
  }

  /** Removes the line. MUST be called before anything else is written to the terminal. */
  clear(): void {
    if (this.#isShown) this.#terminal.err.write('\r\x1b[2K')
    this.#isShown = false
  }
}
