// A channel that is no longer remembered counts as evicted up to where any forgotten one was.
const MAX_REMEMBERED = 10_000

/**
 * Up to where channels were evicted that hold nothing any more: whether a position has lost anything is known, not
 * guessed.
 */
export class Evictions {
  // Of a Map, the key that was set longest ago comes first.
  readonly #upTo = new Map<string, number>()
  #forgottenUpTo = 0

  add(channel: string, sequence: number): void {
    this.#upTo.delete(channel)
    this.#upTo.set(channel, sequence)
    if (this.#upTo.size > MAX_REMEMBERED) this.#forgetOne()
  }

  upTo(channel: string): number {
    return this.#upTo.get(channel) ?? this.#forgottenUpTo
  }

  #forgetOne(): void {
    const [channel, sequence] = this.#upTo.entries().next().value as [string, number]
    this.#upTo.delete(channel)
    this.#forgottenUpTo = Math.max(this.#forgottenUpTo, sequence)
  }
}
