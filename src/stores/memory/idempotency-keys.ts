import { clock } from '../../scheduler/clock.ts'

interface Known {
  readonly id: string
  readonly time: number
}

/** Maps idempotency keys to event ids. Each counts for a time, in ms; beyond `maxKeys`, the oldest is forgotten first. */
export class IdempotencyKeys {
  readonly #window: number
  readonly #maxKeys: number
  // A Map iterates in the order in which its keys were set.
  readonly #known = new Map<string, Known>()

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
    this.#trim()
  }

  #trim(): void {
    for (const [key, { time }] of this.#known) {
      if (this.#known.size <= this.#maxKeys && clock.now - time <= this.#window) return
      this.#known.delete(key)
    }
  }
}
