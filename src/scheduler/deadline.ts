// A deadline waits at least this long once more, and is on time if it is less late, in ms.
const MIN_EXTRA = 100

// Node.js sets a longer timer to 1 ms.
const MAX_TIMEOUT = 2 ** 31 - 1

/**
 * A deadline for a response. After a blocked event loop, timers run before the sockets are read, so a deadline that is due
 * waits once more: 100 ms, or as long as it was late. In total, it waits at most twice its time.
 */
export class Deadline {
  /** Whether the time has passed. */
  isOver = false
  readonly #onOver: () => void
  #timer: ReturnType<typeof setTimeout> | undefined
  #dueAt = 0
  // How much longer it may wait.
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
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(ms, MAX_TIMEOUT))
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
