import { atTurnEnd } from '../scheduler/turn.ts'

// The maximum duration of one slice of visits, in ms. The event loop turns between two slices.
const SLICE = 10

// The minimum of visits in a slice, because the process may be suspended for longer than a slice.
const MIN_VISITS = 16

/** Visits items in their order, evenly over a time, without blocking the event loop. The first slice is synchronous. */
export class Spread<Item> {
  /** Resolves when all items were visited, or after `stop`. */
  readonly done: Promise<void>
  readonly #items: readonly Item[]
  readonly #interval: number
  readonly #visit: (item: Item, share: number) => void
  readonly #startedAt = performance.now()
  #next = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #isStopped = false
  #finish = () => {}

  /**
   * `spread` is the time in ms. `visit` also gets a random number in the share of the item. The shares of all items
   * divide the range from 0 to 1 evenly, in the order of the items.
   */
  constructor(items: Iterable<Item>, spread: number, visit: (item: Item, share: number) => void) {
    this.#items = [...items]
    this.#interval = spread / this.#items.length
    this.#visit = visit
    this.done = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#run()
  }

  /** Visits no further items. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#finish()
  }

  readonly #run = (): void => {
    const sliceEnd = performance.now() + SLICE
    for (let visits = 0; !this.#isStopped && this.#next < this.#items.length; visits++) {
      const now = performance.now()
      const dueIn = this.#startedAt + this.#next * this.#interval - now
      if (dueIn > 0) return void this.#wait(dueIn)
      if (now >= sliceEnd && visits >= MIN_VISITS) return void atTurnEnd(this.#run)
      const share = (this.#next + Math.random()) / this.#items.length
      this.#visit(this.#items[this.#next++] as Item, share)
    }
    this.#finish()
  }

  // One timer for all items, because several thousand may be due each second.
  #wait(ms: number): void {
    this.#timer = setTimeout(this.#run, Math.max(ms, SLICE))
  }
}
