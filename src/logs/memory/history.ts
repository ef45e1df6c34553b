import { Ring } from '../../ring.ts'
import type { LogEntry } from '../event-log.ts'

/** An entry in memory. */
export interface MemoryEntry extends LogEntry {
  readonly sequence: number
  readonly place: Place
  /** What a newer entry replaces. Undefined: nothing does. */
  readonly key: string | undefined
}

/** What the order of all channels holds of an entry: not the entry, which may go long before its place. */
export interface Place {
  readonly channel: string
  /** When it was appended, on the clock of the streams. */
  readonly time: number
  /** No longer in the history of its channel: evicted, or replaced by a newer one. */
  isGone: boolean
}

/** What a log holds of one channel, oldest first. */
export interface History {
  readonly length: number
  readonly bytes: number
  /** Returns the entry that this one replaces. */
  push(entry: MemoryEntry): MemoryEntry | undefined
  oldest(): MemoryEntry | undefined
  /** Takes the oldest. */
  shift(): MemoryEntry | undefined
  /** At most `limit` entries after a sequence number. */
  after(sequence: number, limit: number): MemoryEntry[]
}

/** Every entry. */
export class FullHistory implements History {
  bytes = 0
  readonly #entries = new Ring<MemoryEntry>()

  get length(): number {
    return this.#entries.length
  }

  push(entry: MemoryEntry): undefined {
    this.#entries.push(entry)
    this.bytes += entry.frame.size
  }

  oldest(): MemoryEntry | undefined {
    return this.#entries.at(0)
  }

  shift(): MemoryEntry | undefined {
    const entry = this.#entries.shift()
    if (entry) this.bytes -= entry.frame.size
    return entry
  }

  after(sequence: number, limit: number): MemoryEntry[] {
    const found: MemoryEntry[] = []
    for (let place = this.#firstAfter(sequence); found.length < limit; place++) {
      const entry = this.#entries.at(place)
      if (!entry) break
      found.push(entry)
    }
    return found
  }

  #firstAfter(sequence: number): number {
    let [low, high] = [0, this.#entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries.at(middle) as MemoryEntry).sequence > sequence) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** The newest entry of each key: an entry that a newer one has replaced is missed by nobody. */
export class ConflatedHistory implements History {
  bytes = 0
  // A Map hands out its entries in the order in which their keys were set.
  readonly #newest = new Map<string | MemoryEntry, MemoryEntry>()

  get length(): number {
    return this.#newest.size
  }

  push(entry: MemoryEntry): MemoryEntry | undefined {
    const replaced = this.#remove(this.#newest.get(entry.key ?? entry))
    this.#newest.set(entry.key ?? entry, entry)
    this.bytes += entry.frame.size
    return replaced
  }

  oldest(): MemoryEntry | undefined {
    return this.#newest.values().next().value
  }

  shift(): MemoryEntry | undefined {
    return this.#remove(this.oldest())
  }

  after(sequence: number, limit: number): MemoryEntry[] {
    return [...this.#newest.values()].filter((entry) => entry.sequence > sequence).slice(0, limit)
  }

  #remove(entry: MemoryEntry | undefined): MemoryEntry | undefined {
    if (!entry) return undefined
    this.#newest.delete(entry.key ?? entry)
    this.bytes -= entry.frame.size
    return entry
  }
}
