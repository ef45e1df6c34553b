import type { Filter } from './filter.ts'
import type { SubscribeOptions } from './subscribe-options.ts'

/** The subscriptions of a stream to one channel. A list only if there are several; it is replaced, never changed. */
export type Subscriptions = SubscribeOptions | readonly SubscribeOptions[]

/**
 * The channels of a stream with their subscriptions. The first one needs no map, because most streams have only one.
 */
export class ChannelMap {
  #first: string | undefined
  #ofFirst: Subscriptions | undefined
  #others: Map<string, Subscriptions> | undefined
  // False for a stream that never had a hook, so that its options are not collected.
  #hasHooks = false

  get size(): number {
    return Number(this.#first !== undefined) + (this.#others?.size ?? 0)
  }

  get channels(): string[] {
    return [...(this.#first === undefined ? [] : [this.#first]), ...(this.#others?.keys() ?? [])]
  }

  /** The options of all subscriptions, each once. Empty if none of them has a hook. */
  get optionsWithHooks(): Iterable<SubscribeOptions> {
    return this.#hasHooks ? new Set(this.channels.flatMap((channel) => this.all(channel))) : []
  }

  get(channel: string): Subscriptions | undefined {
    return channel === this.#first ? this.#ofFirst : this.#others?.get(channel)
  }

  /** Returns the subscriptions to a channel as a list. */
  all(channel: string): SubscribeOptions[] {
    return [this.get(channel) ?? []].flat()
  }

  /** Whether a present subscription to a channel passes every event that a filter passes. */
  covers(channel: string, filter: Filter | undefined): boolean {
    return this.all(channel).some((each) => each.filter === undefined || each.filter === filter)
  }

  /** Adds a subscription, which the channel MUST NOT have already. */
  add(channel: string, options: SubscribeOptions): void {
    this.#hasHooks ||= options.onGap !== undefined || options.snapshot !== undefined
    const present = this.get(channel)
    this.#set(channel, present === undefined ? options : [present, options].flat())
  }

  /** Removes a subscription, and the channel with its last one. */
  delete(channel: string, options: SubscribeOptions): void {
    const [one, ...more] = this.all(channel).filter((each) => each !== options)
    if (one !== undefined) this.#set(channel, more.length === 0 ? one : [one, ...more])
    else if (channel !== this.#first) this.#others?.delete(channel)
    else this.#first = this.#ofFirst = undefined
  }

  #set(channel: string, subscriptions: Subscriptions): void {
    if (this.size === 0) this.#first = channel
    if (channel === this.#first) this.#ofFirst = subscriptions
    else {
      this.#others ??= new Map()
      this.#others.set(channel, subscriptions)
    }
  }
}
