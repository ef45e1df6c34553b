const MAX_CHANNELS = 1_000

/** The channels that were removed from a stream. Only the last 1 000 are kept. */
export class RemovedChannels {
  // A Set iterates in the order in which its values were added.
  readonly #names = new Set<string>()

  add(channel: string): void {
    this.#names.add(channel)
    const [oldest] = this.#names.size > MAX_CHANNELS ? this.#names : []
    if (oldest !== undefined) this.#names.delete(oldest)
  }

  /** Returns the channels that are not kept here. The others are deleted, because the stream has them again. */
  without(channels: readonly string[]): string[] {
    return channels.filter((channel) => !this.#names.delete(channel))
  }
}
