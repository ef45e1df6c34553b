import { RingBuffer } from '../../ring-buffer.ts'
import { clock } from '../../scheduler/clock.ts'

/** Where something stands in the log. What stood there may go long before the place does. */
export interface Slot {
  readonly channel: string
  readonly sequence: number
  /** When it was appended, on the clock of the streams. */
  readonly time: number
  /** Bytes on the wire. */
  readonly size: number
  /** Nothing stands there any more. */
  isRemoved: boolean
}

/** How much is kept. */
export interface Limits {
  readonly maxEvents: number
  readonly maxBytes: number
  readonly maxAge: number
}

// So many places that are gone are not worth clearing away.
const SLACK = 8

/** Places in the order of the log. They may go in any order: those in the middle are passed over. */
export class EntryQueue<P extends Slot> {
  /** How many are not gone. */
  length = 0
  /** The newest that was evicted. */
  evictedUpTo: number
  #bytes = 0
  // The first is not gone.
  readonly #ring = new RingBuffer<P>()

  constructor(evictedUpTo: number) {
    this.evictedUpTo = evictedUpTo
  }

  push(slot: P): void {
    this.#ring.push(slot)
    this.length += 1
    this.#bytes += slot.size
  }

  /** Is told of each of them that is gone. */
  remove(slot: P): void {
    this.length -= 1
    this.#bytes -= slot.size
    while (this.#ring.at(0)?.isRemoved) this.#ring.shift()
    if (this.#ring.length > 2 * this.length + SLACK) this.#compact()
  }

  /** The oldest, when limits demand that it goes. */
  firstOverLimit({ maxEvents, maxBytes, maxAge }: Limits): P | undefined {
    const oldest = this.#ring.at(0)
    if (!oldest) return undefined
    const isOver = this.length > maxEvents || this.#bytes > maxBytes || clock.now - oldest.time > maxAge
    return isOver ? oldest : undefined
  }

  /** At most `limit` of them after a sequence number. */
  after(sequence: number, limit: number): P[] {
    const found: P[] = []
    for (let at = this.#firstAfter(sequence); found.length < limit; at++) {
      const slot = this.#ring.at(at)
      if (!slot) break
      if (!slot.isRemoved) found.push(slot)
    }
    return found
  }

  #firstAfter(sequence: number): number {
    let [low, high] = [0, this.#ring.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ring.at(middle) as P).sequence > sequence) high = middle
      else low = middle + 1
    }
    return low
  }

  #compact(): void {
    for (let left = this.#ring.length; left > 0; left--) {
      const slot = this.#ring.shift() as P
      if (!slot.isRemoved) this.#ring.push(slot)
    }
  }
}

/** What a key of a channel is known by among those of all channels. */
export function scopedKey(channel: string, key: string): string {
  return `${channel.length} ${channel}${key}`
}
