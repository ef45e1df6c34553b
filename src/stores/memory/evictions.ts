import { OrderedMap } from '../../ordered-map.ts'

const MAX_CHANNELS = 10_000

/**
 * The newest evicted sequence number of each channel without entries. Only the 10 000 channels evicted last are kept.
 * Any other channel counts as evicted up to the newest number that was dropped.
 */
export class Evictions {
  readonly #upTo = new OrderedMap<string, number>()
  #droppedUpTo = 0

  add(channel: string, sequence: number): void {
    this.#upTo.delete(channel)
    this.#upTo.set(channel, sequence)
    if (this.#upTo.size > MAX_CHANNELS) this.#dropOldest()
  }

  upTo(channel: string): number {
    return this.#upTo.get(channel) ?? this.#droppedUpTo
  }

  /**
   * Whether the number of a channel may have been dropped, so that it counts as evicted up to the newest dropped
   * number.
   */
  mayBeDropped(channel: string): boolean {
    return this.#droppedUpTo > 0 && !this.#upTo.has(channel)
  }

  #dropOldest(): void {
    const channel = this.#upTo.oldest as string
    this.#droppedUpTo = Math.max(this.#droppedUpTo, this.upTo(channel))
    this.#upTo.delete(channel)
  }
}
