import { MAX_COUNT } from '../../check-options.ts'
import { EntryQueue, type Limits, type Slot } from './entry-queue.ts'
import { Evictions } from './evictions.ts'
import { mergedSlots } from './slot-cursor.ts'

const NOTHING: Limits = { maxEvents: 0, maxBytes: 0, maxAge: 0 }

// With at least this many channels, their slots are searched among the slots of all channels first.
const MANY_CHANNELS = 16

/** The entries within the limits of the store and of each channel. The oldest is evicted first. */
export class RetentionWindow {
  readonly #limits: Limits
  readonly #perChannel: Limits
  readonly #onEvicted: (slot: Slot) => void
  readonly #maxSlotBytes: number
  readonly #hasChannelLimits: boolean
  readonly #all = new EntryQueue(0)
  readonly #channels = new Map<string, EntryQueue>()
  // The evictions of channels without entries. The queue of any other channel has its own.
  readonly #evictions = new Evictions()
  // The newest evicted sequence number of all channels.
  #evictedUpTo = 0

  constructor(limits: Limits, perChannel: Limits, onEvicted: (slot: Slot) => void) {
    this.#limits = limits
    this.#perChannel = perChannel
    this.#onEvicted = onEvicted
    this.#hasChannelLimits = Object.values(perChannel).some((limit) => limit < MAX_COUNT)
    this.#maxSlotBytes = Math.min(limits.maxBytes, perChannel.maxBytes)
  }

  /**
   * Appends a slot. `trim` then evicts the slots over a limit. Returns false for a slot that exceeds a limit alone. It
   * is not kept, and the other slots of its channel are evicted, but none of other channels.
   */
  push(slot: Slot): boolean {
    if (slot.bytes > this.#maxSlotBytes) return this.#skip(slot)
    const queue = this.#channels.get(slot.channel) ?? this.#addChannel(slot.channel)
    queue.push(slot)
    this.#all.push(slot)
    return true
  }

  remove(slot: Slot): void {
    slot.entry = undefined
    this.#all.remove(slot)
    const queue = this.#channels.get(slot.channel) as EntryQueue
    queue.remove(slot)
    if (queue.length === 0) this.#removeChannel(slot.channel, queue)
  }

  /**
   * Evicts the slots of some channels over the limits of a channel, then the slots of all over the limits of the store.
   */
  trim(channels: readonly string[]): void {
    if (this.#hasChannelLimits)
      for (const channel of channels) this.#evict(this.#channels.get(channel), this.#perChannel)
    this.#evict(this.#all, this.#limits)
  }

  /** Yields the slots of some channels after a sequence number, oldest first. */
  after(channels: readonly string[], sequence: number): Iterable<Slot> {
    return channels.length < MANY_CHANNELS
      ? this.#merged(channels, sequence)
      : this.#search(new Set(channels), sequence)
  }

  /** Whether a slot after a sequence number was evicted from some channels. */
  hasEvicted(channels: readonly string[], sequence: number): boolean {
    if (this.#evictedUpTo <= sequence) return false
    return channels.some((channel) => this.evictedUpTo(channel) > sequence)
  }

  /** Yields the slots of some channels, newest first. */
  newest(channels: readonly string[]): Iterable<Slot> {
    return mergedSlots(this.#queuesOf(channels).map((queue) => queue.newest()))
  }

  /** Returns the newest evicted sequence number of a channel, or 0. */
  evictedUpTo(channel: string): number {
    return this.#channels.get(channel)?.evictedUpTo ?? this.#evictions.upTo(channel)
  }

  /**
   * Returns how close the next slot of some channels after a sequence number is to its eviction, from 0 to 1. Without
   * channels, the next slot of any channel counts, by the limits of the store.
   */
  staleness(channels: readonly string[], sequence: number): number {
    if (channels.length === 0) return this.#share(this.#all, sequence)
    return largestOf(channels, (channel) => this.#stalenessIn(channel, sequence))
  }

  #merged(channels: Iterable<string>, sequence: number): Iterable<Slot> {
    return mergedSlots(this.#queuesOf(channels).map((queue) => queue.after(sequence)))
  }

  // Yields the slots of many channels. Visits their queues only if the next slots of all channels do not fill the page.
  *#search(channels: ReadonlySet<string>, sequence: number): Iterable<Slot> {
    const cursor = this.#all.after(sequence)
    let last = sequence
    for (let left = 2 * channels.size; left > 0 && cursor.slot; left--) {
      const { slot } = cursor
      if (channels.has(slot.channel)) yield slot
      last = slot.sequence
      cursor.advance()
    }
    if (cursor.slot) yield* this.#merged(channels, last)
  }

  #stalenessIn(channel: string, sequence: number): number {
    if (this.evictedUpTo(channel) > sequence) return 1
    const queue = this.#channels.get(channel)
    if (!queue) return this.#evictions.mayBeDropped(channel) ? this.#share(this.#all, sequence) : 0
    return this.#share(queue, sequence, this.#perChannel)
  }

  #share(queue: EntryQueue, sequence: number, limits = this.#limits): number {
    const { slot } = queue.after(sequence)
    if (!slot) return 0
    return Math.max(queue.shareFrom(slot, limits), this.#all.shareFrom(slot, this.#limits))
  }

  /** Evicts all entries of a channel, up to a slot that is not kept. Returns false. */
  #skip({ channel, sequence }: Slot): false {
    this.#evict(this.#channels.get(channel), NOTHING)
    this.#evictions.add(channel, sequence)
    this.#evictedUpTo = sequence
    return false
  }

  #evict(queue: EntryQueue | undefined, limits: Limits): void {
    for (let slot = queue?.firstOverLimit(limits); slot; slot = queue?.firstOverLimit(limits)) {
      const ofChannel = this.#channels.get(slot.channel) as EntryQueue
      ofChannel.evictedUpTo = slot.sequence
      this.#evictedUpTo = Math.max(this.#evictedUpTo, slot.sequence)
      this.remove(slot)
      this.#onEvicted(slot)
    }
  }

  #queuesOf(channels: Iterable<string>): EntryQueue[] {
    return [...new Set(channels)].flatMap((channel) => this.#channels.get(channel) ?? [])
  }

  #addChannel(channel: string): EntryQueue {
    const queue = new EntryQueue(this.#evictions.upTo(channel))
    this.#channels.set(channel, queue)
    return queue
  }

  #removeChannel(channel: string, queue: EntryQueue): void {
    this.#channels.delete(channel)
    this.#evictions.add(channel, queue.evictedUpTo)
  }
}

/**
 * Returns the largest number of some channels, or 0. `Math.max` with one argument for each channel would limit their
 * number.
 */
export function largestOf(channels: readonly string[], numberOf: (channel: string) => number): number {
  return channels.reduce((largest, channel) => Math.max(largest, numberOf(channel)), 0)
}
