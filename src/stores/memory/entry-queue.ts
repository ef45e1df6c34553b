import type { SettingsOf } from '../../check-options.ts'
import { lowerBound } from '../../lower-bound.ts'
import { RingBuffer } from '../../ring-buffer.ts'
import { clock } from '../../scheduler/clock.ts'
import type { LogEntry } from '../log-entry.ts'
import type { StoreLimits } from './memory-store.ts'
import { SlotCursor } from './slot-cursor.ts'

/** A position in the log. It outlives its entry. */
export interface Slot {
  readonly channel: string
  readonly sequence: number
  /** When the entry was appended, on the clock of the streams. */
  readonly time: number
  /** Bytes of memory that the entry occupies. */
  readonly bytes: number
  /** The conflated value that the entry updates. Undefined if no newer entry can replace it. */
  readonly key: string | undefined
  /** Undefined once the entry is removed, so that its memory is free at once. */
  entry: LogEntry | undefined
}

export type Limits = SettingsOf<StoreLimits>

// Up to this many empty slots cost less than compacting.
const SLACK = 2

/** Slots in the order of the log. Entries can be removed in any order; empty slots in the middle are skipped. */
export class EntryQueue {
  /** Number of entries. */
  length = 0
  /** The newest sequence number that was evicted. */
  evictedUpTo: number
  #bytes = 0
  // The first slot always has an entry.
  readonly #ring = new RingBuffer<Slot>()

  constructor(evictedUpTo: number) {
    this.evictedUpTo = evictedUpTo
  }

  push(slot: Slot): void {
    this.#ring.push(slot)
    this.length += 1
    this.#bytes += slot.bytes
  }

  /** Accounts for a slot that has become empty. */
  remove(slot: Slot): void {
    this.length -= 1
    this.#bytes -= slot.bytes
    while (this.#ring.length > 0 && !this.#ring.at(0)?.entry) this.#ring.shift()
    if (this.#ring.length > 2 * this.length + SLACK) this.#compact()
  }

  /** Returns the oldest slot if the queue exceeds a limit. */
  firstOverLimit({ maxEvents, maxBytes, maxAge }: Limits): Slot | undefined {
    const oldest = this.#ring.at(0)
    if (!oldest) return undefined
    const isOver = this.length > maxEvents || this.#bytes > maxBytes || clock.now - oldest.time > maxAge
    return isOver ? oldest : undefined
  }

  /** Visits the slots with an entry after a sequence number, oldest first. */
  after(sequence: number): SlotCursor {
    return new SlotCursor(this.#ring, this.#firstAfter(sequence), 1)
  }

  /** Visits all slots with an entry, newest first. */
  newest(): SlotCursor {
    return new SlotCursor(this.#ring, this.#ring.length - 1, -1)
  }

  /** Returns how close the entries from a slot on are to a limit, from 0 to 1, where the slot is evicted. */
  shareFrom({ sequence, time }: Slot, { maxEvents, maxBytes, maxAge }: Limits): number {
    const slots = this.#ring.length - this.#firstAfter(sequence - 1)
    const bytes = (this.#bytes * slots) / this.#ring.length
    return Math.max(slots / maxEvents, bytes / maxBytes, (clock.now - time) / maxAge)
  }

  #firstAfter(sequence: number): number {
    return lowerBound(this.#ring.length, (at) => (this.#ring.at(at) as Slot).sequence > sequence)
  }

  #compact(): void {
    for (let left = this.#ring.length; left > 0; left--) {
      const slot = this.#ring.shift() as Slot
      if (slot.entry) this.#ring.push(slot)
    }
  }
}
