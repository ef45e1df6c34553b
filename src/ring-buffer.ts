const SMALL = 4

// Shared by all empty rings, because most rings are empty most of the time.
const NO_SLOTS: never[] = []

/** A queue in a ring buffer. Doubles its size when it is full, and halves it when it is three quarters empty. */
export class RingBuffer<T> {
  length = 0
  #head = 0
  #slots: Array<T | undefined> = NO_SLOTS

  push(item: T): void {
    if (this.length === this.#slots.length) this.#resize(this.length * 2 || SMALL)
    this.#slots[this.#slot(this.length)] = item
    this.length += 1
  }

  /** Removes and returns the oldest item. */
  shift(): T | undefined {
    const item = this.at(0)
    if (item === undefined) return undefined
    this.#slots[this.#head] = undefined
    this.#head = this.#slot(1)
    this.length -= 1
    if (this.#slots.length > SMALL * SMALL && this.length === this.#slots.length / 4)
      this.#resize(this.length * 2)
    return item
  }

  /** Returns the item at an index, counted from the oldest, without removing it. Undefined outside the queue. */
  at(index: number): T | undefined {
    return index >= 0 && index < this.length ? this.#slots[this.#slot(index)] : undefined
  }

  // The number of slots is a power of two, so that a bit mask can replace the remainder.
  #slot(index: number): number {
    return (this.#head + index) & (this.#slots.length - 1)
  }

  #resize(size: number): void {
    const slots: Array<T | undefined> = new Array(size)
    for (let index = 0; index < this.length; index++) slots[index] = this.at(index)
    this.#slots = slots
    this.#head = 0
  }
}
