import { EntryQueue, type Limits, type Slot } from './entry-queue.ts'
import { Evictions } from './evictions.ts'

/** What lies within the limits of the log and of each channel. The oldest is evicted first. */
export class RetentionWindow<P extends Slot> {
  readonly #limits: Limits
  readonly #perChannel: Limits
  readonly #onEvicted: (slot: P) => void
  readonly #all = new EntryQueue<P>(0)
  readonly #channels = new Map<string, EntryQueue<P>>()
  // Of channels of which nothing is left; the others know themselves.
  readonly #evictions = new Evictions()

  constructor(limits: Limits, perChannel: Limits, onEvicted: (slot: P) => void) {
    this.#limits = limits
    this.#perChannel = perChannel
    this.#onEvicted = onEvicted
  }

  /** Takes the newest. What has to go for it goes with `trim`. */
  push(slot: P): void {
    const ofChannel = this.#channels.get(slot.channel) ?? this.#begin(slot.channel)
    ofChannel.push(slot)
    this.#all.push(slot)
  }

  remove(slot: P): void {
    slot.isRemoved = true
    this.#all.remove(slot)
    const ofChannel = this.#channels.get(slot.channel) as EntryQueue<P>
    ofChannel.remove(slot)
    if (ofChannel.length === 0) this.#end(slot.channel, ofChannel)
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

  #evict(queue: EntryQueue<P> | undefined, limits: Limits): void {
    for (let slot = queue?.firstOverLimit(limits); slot; slot = queue?.firstOverLimit(limits)) {
      const ofChannel = this.#channels.get(slot.channel) as EntryQueue<P>
      ofChannel.evictedUpTo = slot.sequence
      this.remove(slot)
      this.#onEvicted(slot)
    }
  }

  #begin(channel: string): EntryQueue<P> {
    const queue = new EntryQueue<P>(this.#evictions.upTo(channel))
    this.#channels.set(channel, queue)
    return queue
  }

  #end(channel: string, queue: EntryQueue<P>): void {
    this.#channels.delete(channel)
    this.#evictions.add(channel, queue.evictedUpTo)
  }
}
