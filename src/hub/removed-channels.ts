const MAX_CHANNELS = 1_000

/** The channels that a stream has left. Only the last 1 000 are remembered. */
export class RemovedChannels {
  // A Set iterates in the order in which its values were added.
  readonly #names = new Set<string>()

  add(channel: string): void {
    this.#names.add(channel)
    const [oldest] = this.#names.size > MAX_CHANNELS ? this.#names : []
    if (oldest !== undefined) this.#names.delete(oldest)
  }

  /** Returns which of some channels are not remembered. The others are forgotten, because the stream has them again. */
  without(channels: readonly string[]): string[] {
    return channels.filter((channel) => !this.#names.delete(channel))
  }
}
