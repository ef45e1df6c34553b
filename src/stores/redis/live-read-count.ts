import type { StoredEntry } from '../broker/driver.ts'

const MIN = 16
const MAX = 1_000
// The maximum size of a reply, if no entry is larger than the largest recent one.
const REPLY_BYTES = 4 * 1024 * 1024

/**
 * How many entries a blocking read requests. It begins small, because a process that was disconnected may have to read
 * many entries of unknown size. It doubles while reads are full, and is halved while they are not.
 */
export class LiveReadCount {
  #count = MIN
  // Halved with each read, so that the effect of one large entry ends.
  #largest = 1

  get next(): number {
    return Math.max(1, Math.floor(Math.min(this.#count, REPLY_BYTES / this.#largest)))
  }

  observe(entries: readonly StoredEntry[]): void {
    this.#count = Math.min(MAX, Math.max(MIN, 2 * entries.length, this.#count / 2))
    this.#largest = entries.reduce((most, { record }) => Math.max(most, record.length), this.#largest / 2)
  }

  /** Resets the count after a reconnect, because the size of the next entries is unknown. */
  restart(): void {
    this.#count = MIN
  }
}
