import { OrderedMap } from '../ordered-map.ts'

const MAX_CHANNELS = 1_000

/** The channels that were removed from a stream. Only the last 1 000 are kept. */
export class RemovedChannels {
  readonly #names = new OrderedMap<string, true>()

  add(channel: string): void {
    this.#names.set(channel, true)
    if (this.#names.size > MAX_CHANNELS) this.#names.shift()
  }

  /** Returns the channels that are not kept here. The others are deleted, because the stream has them again. */
  without(channels: readonly string[]): string[] {
    return channels.filter((channel) => !this.#names.delete(channel))
  }
}
