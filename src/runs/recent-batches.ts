import { RingBuffer } from '../ring-buffer.ts'
import { bytesOf, lastNumberOf } from '../stores/run-batch.ts'
import type { RunEndReason, RunEvent, StoredBatch } from '../stores/run-store.ts'

// The maximum unless a single batch is larger.
const MAX_EVENTS = 256
const MAX_BYTES = 64 * 1024
// Batches are joined up to this size, because fewer objects are less work for the garbage collector.
const JOINED_EVENTS = MAX_EVENTS / 16
const JOINED_BYTES = MAX_BYTES / 16
/** The approximate size of an event on the wire without its name and data, in bytes. */
export const FRAMING = 64

/** The newest consecutive batches of a run, for subscribers that are a little behind. */
export class RecentBatches {
  readonly #batches = new RingBuffer<JoinedBatch>()
  #newest: JoinedBatch | undefined
  #events = 0
  #bytes = 0

  /** The number of the oldest event, or undefined if there is none. */
  get first(): number | undefined {
    return this.#batches.at(0)?.first
  }

  /** Adds the next batch. */
  push(batch: StoredBatch): void {
    const bytes = bytesOf(batch)
    this.#events += batch.events.length
    this.#bytes += bytes
    if (!this.#newest?.add(batch, bytes)) {
      this.#newest = new JoinedBatch(batch, bytes)
      this.#batches.push(this.#newest)
    }
    while ((this.#events > MAX_EVENTS || this.#bytes > MAX_BYTES) && this.#batches.length > 1) this.#evict()
  }

  clear(): void {
    while (this.#batches.length > 0) this.#evict()
    this.#newest = undefined
  }

  /** Returns the batches with events after a number, of about `room` bytes on the wire, and at least one. */
  after(number: number, room: number): StoredBatch[] {
    const found: StoredBatch[] = []
    let size = 0
    for (let at = 0; at < this.#batches.length && (size < room || found.length === 0); at++) {
      const batch = this.#batches.at(at) as JoinedBatch
      if (lastNumberOf(batch) <= number) continue
      size += batch.bytes + batch.events.length * FRAMING
      found.push(batch)
    }
    return found
  }

  #evict(): void {
    const { events, bytes } = this.#batches.shift() as JoinedBatch
    this.#events -= events.length
    this.#bytes -= bytes
  }
}

/** Consecutive batches with the same place. */
class JoinedBatch implements StoredBatch {
  readonly first: number
  readonly place: string | undefined
  readonly events: RunEvent[]
  end: RunEndReason | undefined
  bytes: number

  constructor({ first, place, events, end }: StoredBatch, bytes: number) {
    this.first = first
    this.place = place
    this.events = [...events]
    this.end = end
    this.bytes = bytes
  }

  /** Adds the next batch. Returns false if it does not fit. */
  add({ first, place, events, end }: StoredBatch, bytes: number): boolean {
    const isNext = first === this.first + this.events.length && place === this.place
    const isSmall = this.events.length + events.length <= JOINED_EVENTS && this.bytes + bytes <= JOINED_BYTES
    if (!isNext || !isSmall) return false
    this.events.push(...events)
    this.end = end
    this.bytes += bytes
    return true
  }
}
