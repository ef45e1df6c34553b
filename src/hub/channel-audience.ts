import { ChannelFeed, type ChannelFeedSettings } from './channel-feed.ts'
import { ChannelSources } from './channel-sources.ts'

/** Counts the streams on each channel, and starts and stops the sources of channels. */
export class ChannelAudience {
  readonly #sizes = new Map<string, number>()
  // The sources that are read, linger or are being closed.
  readonly #feeds = new Map<string, ChannelFeed>()
  // Created for the first source, because some edge runtimes have no `FinalizationRegistry`.
  #sources: ChannelSources | undefined
  readonly #notify: (event: 'active' | 'idle', channel: string) => void

  /** `notify` is called when a channel gets its first subscriber, and when it loses its last one. */
  constructor(notify: (event: 'active' | 'idle', channel: string) => void) {
    this.#notify = notify
  }

  sizeOf(channel: string): number {
    return this.#sizes.get(channel) ?? 0
  }

  /** Adds the source of a channel, unless the channel has one. */
  addSource(channel: string, source: ChannelFeedSettings): void {
    this.#sources ??= new ChannelSources()
    this.#sources.add(channel, source)
    if (this.sizeOf(channel) > 0) this.#startFeed(channel)
  }

  join(channel: string): void {
    const size = this.sizeOf(channel)
    this.#sizes.set(channel, size + 1)
    if (size > 0) return
    this.#startFeed(channel)
    this.#notify('active', channel)
  }

  leave(channel: string): void {
    const size = this.sizeOf(channel) - 1
    if (size > 0) return void this.#sizes.set(channel, size)
    this.#sizes.delete(channel)
    this.#feeds.get(channel)?.stop()
    this.#notify('idle', channel)
  }

  /** Stops all sources. Resolves when they are closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map((feed) => feed.close()))
  }

  #startFeed(channel: string): void {
    // Also looked up for a feed that lingers, because that is a use of the source.
    const source = this.#sources?.get(channel)
    const feed = this.#feeds.get(channel) ?? (source && this.#addFeed(channel, source))
    feed?.start()
  }

  #addFeed(channel: string, source: ChannelFeedSettings): ChannelFeed {
    const feed = new ChannelFeed(source, () => {
      this.#feeds.delete(channel)
      // The end is the last use of the source.
      this.#sources?.add(channel, source)
    })
    this.#feeds.set(channel, feed)
    return feed
  }
}
