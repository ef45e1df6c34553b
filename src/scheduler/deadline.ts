import { MAX_TIME } from '../check-options.ts'

// The shortest extension of a deadline, in ms. A timer that is less late than this is on time.
const MIN_EXTRA = 100

/**
 * A deadline for a response. After a blocked event loop, timers run before the sockets are read, so that a deadline
 * that is due is extended. The extension is 100 ms, or the delay of the timer if that is longer. In total, a deadline
 * waits at most twice its time.
 */
export class Deadline {
  /** Whether the time has passed, including its extensions. */
  isOver = false
  readonly #onOver: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #dueAt = 0
  // The longest extension that is left, in ms.
  #extra: number
  #isExtended = false

  /** Calls `onOver` after `ms`, unless it is cancelled before. */
  constructor(ms: number, onOver: () => void = () => {}) {
    this.#onOver = onOver
    this.#extra = ms
    this.#wait(ms)
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }

  #wait(ms: number): void {
    this.#dueAt = performance.now() + ms
    // Node.js sets a longer timer to 1 ms.
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(ms, MAX_TIME))
  }

  #onTimer(): void {
    const late = performance.now() - this.#dueAt
    if (this.#extra > 0 && (late >= MIN_EXTRA || !this.#isExtended)) this.#extend(Math.max(late, MIN_EXTRA))
    else {
      this.isOver = true
      this.#onOver()
    }
  }

  #extend(ms: number): void {
    const extra = Math.min(ms, this.#extra)
    this.#isExtended = true
    this.#extra -= extra
    this.#wait(extra)
  }
}
