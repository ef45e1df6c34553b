import type { RingBuffer } from '../../ring-buffer.ts'
import type { Slot } from './entry-queue.ts'

/** Visits the slots of a queue that have an entry, oldest first with a step of 1, newest first with a step of -1. */
export class SlotCursor {
  /** The current slot. Undefined after the last one. */
  slot: Slot | undefined
  readonly #ring: RingBuffer<Slot>
  readonly #step: 1 | -1
  #at: number

  constructor(ring: RingBuffer<Slot>, start: number, step: 1 | -1) {
    this.#ring = ring
    this.#step = step
    this.#at = start - step
    this.advance()
  }

  /** Moves on to the next slot. Returns whether there is one. */
  advance(): boolean {
    do {
      this.#at += this.#step
      this.slot = this.#ring.at(this.#at)
    } while (this.slot && !this.slot.entry)
    return this.slot !== undefined
  }

  /** Whether the current slot is visited before that of another cursor with the same step. */
  precedes({ slot }: SlotCursor): boolean {
    return ((this.slot as Slot).sequence - (slot as Slot).sequence) * this.#step < 0
  }
}

/** Yields the slots of several cursors in their common order. Costs the logarithm of their number for each slot. */
export function* mergedSlots(cursors: readonly SlotCursor[]): Generator<Slot, void> {
  // A sorted list is a valid binary heap.
  const heap = cursors.filter(({ slot }) => slot).sort((a, b) => (a.precedes(b) ? -1 : 1))
  for (let first = heap[0]; first; first = heap[0]) {
    yield first.slot as Slot
    if (!first.advance()) {
      const last = heap.pop() as SlotCursor
      if (last === first) continue
      heap[0] = last
    }
    sinkFirst(heap)
  }
}

/** Restores the order of a heap whose first cursor has advanced. */
function sinkFirst(heap: SlotCursor[]): void {
  const sunk = heap[0] as SlotCursor
  let at = 0
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if (heap[child + 1]?.precedes(heap[child] as SlotCursor)) child += 1
    const next = heap[child] as SlotCursor
    if (!next.precedes(sunk)) break
    heap[at] = next
    at = child
  }
  heap[at] = sunk
}
