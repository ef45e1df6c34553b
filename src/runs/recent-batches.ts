import { RingBuffer } from '../ring-buffer.ts'
import { bytesOf, lastNumberOf } from '../stores/run-batch.ts'
import type { RunEndReason, RunEvent, StoredBatch } from '../stores/run-store.ts'

// At least one batch.
const MAX_EVENTS = 256
const MAX_BYTES = 64 * 1024
// Batches are joined up to this, because the garbage collector has less work with fewer objects.
const JOINED_EVENTS = MAX_EVENTS / 16
const JOINED_BYTES = MAX_BYTES / 16
/** About what an event has on the wire beside its name and its data, in bytes. */
export const FRAMING = 64

/** The newest batches of a run without a gap, for subscribers that are a little behind. */
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

  /** Returns the batches with events after a number: about as many as `room` bytes on the wire, at least one. */
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

  /** Adds the next batch. Returns false if that is kept by itself. */
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
