import { OrderedMap } from '../ordered-map.ts'
import type { ChannelFeedSettings } from './channel-feed.ts'

// The most sources that are kept although the application does not refer to their channel objects. An application may
// discard an object and then subscribe by the name.
const MAX_UNREFERENCED = 10_000

/**
 * The sources of channels by name, started or not. A channel object holds its source, so that the source is kept as
 * long as the object. Of the other sources, only the last used ones are kept, because clients may choose the names.
 */
export class ChannelSources {
  readonly #all = new Map<string, WeakRef<ChannelFeedSettings>>()
  readonly #lastUsed = new OrderedMap<string, ChannelFeedSettings>()
  readonly #collected = new FinalizationRegistry<string>((channel) => {
    // The channel may have another source meanwhile.
    if (this.#all.get(channel)?.deref() === undefined) this.#all.delete(channel)
  })

  /** Adds the source of a channel, unless the channel has one. */
  add(channel: string, source: ChannelFeedSettings): void {
    if (this.get(channel)) return
    this.#all.set(channel, new WeakRef(source))
    this.#collected.register(source, channel)
    this.#use(channel, source)
  }

  /** Returns the source of a channel, which counts as a use. */
  get(channel: string): ChannelFeedSettings | undefined {
    const source = this.#all.get(channel)?.deref()
    if (source) this.#use(channel, source)
    return source
  }

  #use(channel: string, source: ChannelFeedSettings): void {
    this.#lastUsed.delete(channel)
    this.#lastUsed.set(channel, source)
    if (this.#lastUsed.size > MAX_UNREFERENCED) this.#lastUsed.shift()
  }
}
