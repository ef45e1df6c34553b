import { OrderedMap } from '../../ordered-map.ts'
import { clock } from '../../scheduler/clock.ts'

// The maximum mean length of the keys. It limits their memory, because a client may choose them.
const KEY_LENGTH = 256

interface Known {
  readonly id: string
  readonly time: number
}

/**
 * Maps idempotency keys to event ids. Each key is kept for `window` ms. Beyond `maxKeys` keys, or 256 characters for
 * each of them, the oldest keys are dropped.
 */
export class IdempotencyKeys {
  readonly #window: number
  readonly #maxKeys: number
  readonly #known = new OrderedMap<string, Known>()
  #length = 0

  constructor(window: number, maxKeys: number) {
    this.#window = window
    this.#maxKeys = maxKeys
  }

  idOf(key: string): string | undefined {
    this.#trim()
    return this.#known.get(key)?.id
  }

  /** Stores the id of a key that has none. */
  add(key: string, id: string): void {
    this.#known.set(key, { id, time: clock.now })
    this.#length += key.length
    this.#trim()
  }

  // True if a limit is exceeded. A single key is kept whatever its length.
  get #isOver(): boolean {
    const { size } = this.#known
    return size > this.#maxKeys || (size > 1 && this.#length > KEY_LENGTH * this.#maxKeys)
  }

  #trim(): void {
    for (let key = this.#known.oldest; key !== undefined; key = this.#known.oldest) {
      const { time } = this.#known.get(key) as Known
      if (!this.#isOver && clock.now - time <= this.#window) return
      this.#known.delete(key)
      this.#length -= key.length
    }
  }
}
