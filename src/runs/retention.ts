import { RingBuffer } from '../ring-buffer.ts'
import { bytesOf, lastNumberOf } from '../stores/run-batch.ts'
import type { RunBatch } from '../stores/run-store.ts'

// Consecutive batches count as one up to this size, so that a long run of small batches occupies little memory.
const SEGMENT_BYTES = 4 * 1024

interface Segment {
  last: number
  events: number
  bytes: number
}

/** Computes which events of a run are evicted. */
export class Retention {
  /** Events with a lower number are evicted. */
  evictBefore = 0
  readonly #segments = new RingBuffer<Segment>()
  readonly #limits: { readonly maxEvents: number; readonly maxBytes: number }
  #newest: Segment | undefined
  #events = 0
  #bytes = 0

  constructor(limits: { readonly maxEvents: number; readonly maxBytes: number }) {
    this.#limits = limits
  }

  /** Adds the next batch, which is always kept. */
  add(batch: RunBatch): void {
    const segment = this.#segmentFor(batch)
    const bytes = bytesOf(batch)
    segment.last = lastNumberOf(batch)
    segment.events += batch.events.length
    segment.bytes += bytes
    this.#events += batch.events.length
    this.#bytes += bytes
    while (this.#isOver && this.#segments.length > 1) this.#evict()
  }

  get #isOver(): boolean {
    return this.#events > this.#limits.maxEvents || this.#bytes > this.#limits.maxBytes
  }

  // A segment has at most an eighth of a limit, so that eviction is exact enough.
  #segmentFor({ first }: RunBatch): Segment {
    const { maxEvents, maxBytes } = this.#limits
    const newest = this.#newest
    if (newest && newest.bytes < Math.min(SEGMENT_BYTES, maxBytes / 8) && newest.events < maxEvents / 8)
      return newest
    const segment = { last: first - 1, events: 0, bytes: 0 }
    this.#segments.push(segment)
    this.#newest = segment
    return segment
  }

  #evict(): void {
    const { last, events, bytes } = this.#segments.shift() as Segment
    this.evictBefore = last + 1
    this.#events -= events
    this.#bytes -= bytes
  }
}
