import type { ChannelFeed } from './channel-feed.ts'

/** Counts the streams on each channel, and starts and stops the sources of channels. */
export class ChannelAudience {
  readonly #sizes = new Map<string, number>()
  readonly #feeds = new Map<string, ChannelFeed>()
  readonly #notify: (event: 'active' | 'idle', channel: string) => void

  /** `notify` is called when a channel gets its first subscriber, and when it loses its last one. */
  constructor(notify: (event: 'active' | 'idle', channel: string) => void) {
    this.#notify = notify
  }

  sizeOf(channel: string): number {
    return this.#sizes.get(channel) ?? 0
  }

  /** Adds the source of a channel, unless the channel has one. */
  addFeed(channel: string, create: () => ChannelFeed): void {
    if (this.#feeds.has(channel)) return
    const feed = create()
    this.#feeds.set(channel, feed)
    if (this.sizeOf(channel) > 0) feed.start()
  }

  join(channel: string): void {
    const size = this.sizeOf(channel)
    this.#sizes.set(channel, size + 1)
    if (size > 0) return
    this.#feeds.get(channel)?.start()
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
}
