const MAX_CHANNELS = 10_000

/**
 * The newest evicted sequence number of each channel that has no entries any more. Only the 10 000 channels evicted last
 * are remembered; any other channel counts as evicted up to the newest forgotten number.
 */
export class Evictions {
  // A Map iterates in the order in which its keys were set.
  readonly #upTo = new Map<string, number>()
  #forgottenUpTo = 0

  add(channel: string, sequence: number): void {
    this.#upTo.delete(channel)
    this.#upTo.set(channel, sequence)
    if (this.#upTo.size > MAX_CHANNELS) this.#forgetOldest()
  }

  upTo(channel: string): number {
    return this.#upTo.get(channel) ?? this.#forgottenUpTo
  }

  /** Whether the evictions of a channel are unknown, so that it counts as evicted like any other one. */
  hasForgotten(channel: string): boolean {
    return this.#forgottenUpTo > 0 && !this.#upTo.has(channel)
  }

  #forgetOldest(): void {
    const [channel, sequence] = this.#upTo.entries().next().value as [string, number]
    this.#upTo.delete(channel)
    this.#forgottenUpTo = Math.max(this.#forgottenUpTo, sequence)
  }
}
