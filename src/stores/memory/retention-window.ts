import { type Limits, type Place, Places } from './entry-queue.ts'
import { Evictions } from './evictions.ts'

/** What lies within the limits of the log and of each channel. The oldest is evicted first. */
export class Window<P extends Place> {
  readonly #limits: Limits
  readonly #perChannel: Limits
  readonly #onEvicted: (place: P) => void
  readonly #all = new Places<P>(0)
  readonly #channels = new Map<string, Places<P>>()
  // Of channels of which nothing is left; the others know themselves.
  readonly #evictions = new Evictions()

  constructor(limits: Limits, perChannel: Limits, onEvicted: (place: P) => void) {
    this.#limits = limits
    this.#perChannel = perChannel
    this.#onEvicted = onEvicted
  }

  /** Takes the newest. What has to go for it goes with `trim`. */
  push(place: P): void {
    const ofChannel = this.#channels.get(place.channel) ?? this.#begin(place.channel)
    ofChannel.push(place)
    this.#all.push(place)
  }

  remove(place: P): void {
    place.isGone = true
    this.#all.letGo(place)
    const ofChannel = this.#channels.get(place.channel) as Places<P>
    ofChannel.letGo(place)
    if (ofChannel.length === 0) this.#end(place.channel, ofChannel)
  }

  /** Evicts what some channels hold over their own limits, then what all hold over those of the log. */
  trim(channels: readonly string[]): void {
    for (const channel of channels) this.#evict(this.#channels.get(channel), this.#perChannel)
    this.#evict(this.#all, this.#limits)
  }

  /** At most `limit` places of a channel after a sequence number, oldest first. */
  after(channel: string, sequence: number, limit: number): P[] {
    return this.#channels.get(channel)?.after(sequence, limit) ?? []
  }

  /** The newest place of a channel that was evicted. 0: none was. */
  evictedUpTo(channel: string): number {
    return this.#channels.get(channel)?.evictedUpTo ?? this.#evictions.upTo(channel)
  }

  #evict(places: Places<P> | undefined, limits: Limits): void {
    for (let place = places?.overdue(limits); place; place = places?.overdue(limits)) {
      const ofChannel = this.#channels.get(place.channel) as Places<P>
      ofChannel.evictedUpTo = place.sequence
      this.remove(place)
      this.#onEvicted(place)
    }
  }

  #begin(channel: string): Places<P> {
    const places = new Places<P>(this.#evictions.upTo(channel))
    this.#channels.set(channel, places)
    return places
  }

  #end(channel: string, places: Places<P>): void {
    this.#channels.delete(channel)
    this.#evictions.add(channel, places.evictedUpTo)
  }
}
