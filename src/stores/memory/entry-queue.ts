import { Ring } from '../../ring-buffer.ts'
import { clock } from '../../scheduler/clock.ts'

/** Where something stands in the log. What stood there may go long before the place does. */
export interface Place {
  readonly channel: string
  readonly sequence: number
  /** When it was appended, on the clock of the streams. */
  readonly time: number
  /** Bytes on the wire. */
  readonly size: number
  /** Nothing stands there any more. */
  isGone: boolean
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
export class Places<P extends Place> {
  /** How many are not gone. */
  length = 0
  /** The newest that was evicted. */
  evictedUpTo: number
  #bytes = 0
  // The first is not gone.
  readonly #ring = new Ring<P>()

  constructor(evictedUpTo: number) {
    this.evictedUpTo = evictedUpTo
  }

  push(place: P): void {
    this.#ring.push(place)
    this.length += 1
    this.#bytes += place.size
  }

  /** Is told of each of them that is gone. */
  letGo(place: P): void {
    this.length -= 1
    this.#bytes -= place.size
    while (this.#ring.at(0)?.isGone) this.#ring.shift()
    if (this.#ring.length > 2 * this.length + SLACK) this.#clear()
  }

  /** The oldest, when limits demand that it goes. */
  overdue({ maxEvents, maxBytes, maxAge }: Limits): P | undefined {
    const oldest = this.#ring.at(0)
    if (!oldest) return undefined
    const isOver = this.length > maxEvents || this.#bytes > maxBytes || clock.now - oldest.time > maxAge
    return isOver ? oldest : undefined
  }

  /** At most `limit` of them after a sequence number. */
  after(sequence: number, limit: number): P[] {
    const found: P[] = []
    for (let at = this.#firstAfter(sequence); found.length < limit; at++) {
      const place = this.#ring.at(at)
      if (!place) break
      if (!place.isGone) found.push(place)
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

  #clear(): void {
    for (let left = this.#ring.length; left > 0; left--) {
      const place = this.#ring.shift() as P
      if (!place.isGone) this.#ring.push(place)
    }
  }
}

/** What a key of a channel is known by among those of all channels. */
export function keyIn(channel: string, key: string): string {
  return `${channel.length} ${channel}${key}`
}
