import type { Limits, Slot } from './entry-queue.ts'
import { RetentionWindow } from './retention-window.ts'

interface Known {
  readonly id: string
  /** How many windows its entry lies in. */
  windows: number
}

interface KeyedPlace extends Slot {
  /** As it is known among all channels. */
  readonly idempotencyKey: string | undefined
}

/**
 * The ids of what was published under a key. A key is known for as long as the log holds its entry, and for as long as
 * it would if no entry were replaced by a newer one: who tries again does not know of that one.
 */
export class IdempotencyKeys {
  readonly #known = new Map<string | undefined, Known>()
  // What the log would hold.
  readonly #window: RetentionWindow<KeyedPlace>

  constructor(limits: Limits, perChannel: Limits) {
    this.#window = new RetentionWindow(limits, perChannel, (place) => this.remove(place))
  }

  idOf(channel: string, idempotencyKey: string): string | undefined {
    this.#window.trim([channel])
    return this.#known.get(idempotencyKey)?.id
  }

  /** Is told of every entry. */
  add({ channel, sequence, time, size, idempotencyKey }: KeyedPlace, id: string): void {
    if (idempotencyKey !== undefined) this.#known.set(idempotencyKey, { id, windows: 2 })
    // How far a window reaches back depends on what is newer: before the first key nothing counts.
    if (this.#known.size === 0) return
    this.#window.push({ channel, sequence, time, size, idempotencyKey, isRemoved: false })
    this.#window.trim([channel])
  }

  /** Is told of every entry that the log no longer holds. */
  remove({ idempotencyKey }: KeyedPlace): void {
    const known = this.#known.get(idempotencyKey)
    if (!known) return
    known.windows -= 1
    if (known.windows === 0) this.#known.delete(idempotencyKey)
  }
}
