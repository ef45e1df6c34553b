/** Counts the events that a filter hid from a client, and decides after how many of them its position is checked. */
export class HiddenEvents {
  /** How many were hidden since the last event or position that the client was sent. */
  count = 0
  #checkAt = 1
  #interval = 1

  /** Counts one more, of a batch. */
  add(batch: { filtered: number }): void {
    this.count += 1
    batch.filtered += 1
  }

  /** Returns whether the position is checked now, which is then not due again before `checked`. */
  isDue(): boolean {
    if (this.count < this.#checkAt) return false
    this.#checkAt = Number.POSITIVE_INFINITY
    return true
  }

  /** Sets after how many further events the position is checked again. 0: the client was sent a newer one. */
  checked(interval: number): void {
    if (interval > 0) this.#interval = interval
    else this.count = 0
    this.#checkAt = this.count + this.#interval
  }

  /** Starts again, because the client was sent an event. */
  reset(): void {
    this.checked(0)
  }
}
