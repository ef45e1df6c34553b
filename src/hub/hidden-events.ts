/** Counts the events that a filter hid from a client, and decides after how many of them its position is checked. */
export class HiddenEvents {
  /** The number of events that were hidden since the client was last sent an event or a position. */
  count = 0
  #checkAt = 1
  #interval = 1

  /** Counts one more hidden event, also in its batch. */
  add(batch: { filtered: number }): void {
    this.count += 1
    batch.filtered += 1
  }

  /** Returns whether a check of the position is due. If it is, no further check is due before `checked` is called. */
  isDue(): boolean {
    if (this.count < this.#checkAt) return false
    this.#checkAt = Number.POSITIVE_INFINITY
    return true
  }

  /** Sets the number of further hidden events until the next check. 0 if the client was sent a newer position. */
  checked(interval: number): void {
    if (interval > 0) this.#interval = interval
    else this.count = 0
    this.#checkAt = this.count + this.#interval
  }

  /** Restarts the count, because the client was sent an event. */
  reset(): void {
    this.checked(0)
  }
}
