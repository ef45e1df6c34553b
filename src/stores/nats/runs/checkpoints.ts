import { lowerBound } from '../../../lower-bound.ts'

const MAX_COUNT = 256
// The minimum number of appends from one eviction to the next.
const MIN_APPENDS = 64

interface Checkpoint {
  readonly number: number
  readonly sequence: number
}

/**
 * The sequences of some events of a run, for its eviction. Beyond 256 of them, every second one is dropped, so that
 * their number is limited. The events are evicted many at a time, because the server visits each message that it
 * removes.
 */
export class Checkpoints {
  #list: Checkpoint[] = []
  #interval = 1
  // Appends since the last checkpoint, and since the last eviction.
  #sinceLast = 0
  #sinceEviction = 0
  #evictedBefore = 1

  /** Adds the batch whose first event has a number. */
  add(number: number, sequence: number): void {
    this.#sinceEviction += 1
    if (++this.#sinceLast < this.#interval) return
    this.#sinceLast = 0
    this.#list.push({ number, sequence })
    if (this.#list.length <= MAX_COUNT) return
    this.#list = this.#list.filter((_, at) => at % 2 === 0)
    this.#interval *= 2
  }

  /** Returns the sequence before which messages are removed now, if there are enough of them. */
  evict(before: number, last: number): number | undefined {
    const isWorthwhile = before - this.#evictedBefore >= (last - before) / 2
    if (this.#sinceEviction < MIN_APPENDS || !isWorthwhile) return undefined
    const after = lowerBound(this.#list.length, (at) => (this.#list[at] as Checkpoint).number > before)
    const found = this.#list[after - 1]
    if (!found || found.number <= this.#evictedBefore) return undefined
    this.#list = this.#list.slice(after - 1)
    this.#evictedBefore = found.number
    this.#sinceEviction = 0
    return found.sequence
  }
}
