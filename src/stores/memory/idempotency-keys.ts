import { clock } from '../../scheduler/clock.ts'

// A longer key counts as several, because a client may choose it.
const KEY_LENGTH = 256

interface Known {
  readonly id: string
  readonly time: number
}

/**
 * Maps idempotency keys to event ids. Each counts for a time, in ms. Beyond `maxKeys`, or 256 characters for each of them,
 * the oldest is forgotten first.
 */
export class IdempotencyKeys {
  readonly #window: number
  readonly #maxKeys: number
  // A Map iterates in the order in which its keys were set.
  readonly #known = new Map<string, Known>()
  #length = 0

  constructor(window: number, maxKeys: number) {
    this.#window = window
    this.#maxKeys = maxKeys
  }

  idOf(key: string): string | undefined {
    this.#trim()
    return this.#known.get(key)?.id
  }

  /** Remembers the id of a key that has none. */
  add(key: string, id: string): void {
    this.#known.set(key, { id, time: clock.now })
    this.#length += key.length
    this.#trim()
  }

  // The newest key is kept in any case.
  get #isOver(): boolean {
    const { size } = this.#known
    return size > this.#maxKeys || (size > 1 && this.#length > KEY_LENGTH * this.#maxKeys)
  }

  #trim(): void {
    for (const [key, { time }] of this.#known) {
      if (!this.#isOver && clock.now - time <= this.#window) return
      this.#known.delete(key)
      this.#length -= key.length
    }
  }
}
