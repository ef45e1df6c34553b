import type { OldestEntry, RangeLimits, StoredRange } from '../broker/driver.ts'
import type { History } from '../event-store.ts'
import { compareEntryIds } from './entry-id.ts'
import type { EntryReads } from './entry-reads.ts'
import type { RangeConnection } from './range-connection.ts'
import type { Ask, Missing, StreamReads } from './stream-reads.ts'

// How many entries one script searches, so that Redis is not blocked for long.
const SEARCH_STEP = 1_000

/** The reads of older entries. They know which positions were removed. */
export class StreamRanges {
  readonly #connection: RangeConnection
  readonly #reads: EntryReads
  // Redis removes the oldest entries first, so an earlier position is that of no entry.
  #first = '0-0'
  #losses = 0

  constructor(connection: RangeConnection, reads: EntryReads) {
    this.#connection = connection
    this.#reads = reads
  }

  /** Forgets what is known of the stream, because it may be another one. Reads in progress then return a gap. */
  reset(): void {
    this.#losses += 1
    this.#first = '0-0'
  }

  /** Whether a position is known to be that of no entry. */
  isEvicted(position: string): boolean {
    return compareEntryIds(position, this.#first) < 0
  }

  async range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'> {
    const range = await this.#read(after, signal, (reads, ask) =>
      reads.range(ask, after, limits.upTo, limits),
    )
    return range && 'entries' in range ? range : 'gap'
  }

  async has(position: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#read(position, signal, (reads, ask) => reads.find(ask, position))) === true
  }

  /** Searches back from a position, whose own entry is included. */
  async historyBefore(
    position: string,
    channels: ReadonlySet<string>,
    last: number,
    maxEntries: number,
    signal: AbortSignal,
  ): Promise<History> {
    let from = position
    let after = position
    let left = Math.min(last, Number.MAX_SAFE_INTEGER)
    for (let searched = 0; left === 0 || searched < maxEntries; ) {
      const limit = Math.max(1, Math.min(maxEntries - searched, SEARCH_STEP))
      const step = await this.#connection.read(signal, (ask) =>
        this.#reads.by((reads) => reads.search(ask, from, channels, left, limit)),
      )
      after = step.id ?? after
      if (step.end !== 'more') return { after, isIncomplete: step.end === 'trimmed' }
      from = `(${after}`
      left = step.left
      searched += step.searched
    }
    return { after, isIncomplete: true }
  }

  /** Returns where the stream begins. Undefined: it is empty. */
  async oldest(signal: AbortSignal): Promise<OldestEntry | undefined> {
    const losses = this.#losses
    const entry = await this.#connection.read(signal, (ask) => this.#reads.by((reads) => reads.first(ask)))
    if (losses === this.#losses) this.#learn(entry?.id)
    // A log begins with a no-op record. If that was trimmed, events may have been too.
    return entry && { position: entry.id, isFirst: entry.isNoop }
  }

  /** Reads at a position. Undefined: it is that of no entry, or entries were lost meanwhile. */
  async #read<T extends object | true>(
    position: string,
    signal: AbortSignal,
    read: (reads: StreamReads, ask: Ask) => Promise<T>,
  ): Promise<T | undefined> {
    if (this.isEvicted(position)) return undefined
    const losses = this.#losses
    const result = await this.#connection.read(signal, async (ask) =>
      losses === this.#losses ? this.#reads.by((reads) => read(reads, ask)) : undefined,
    )
    if (losses !== this.#losses || result === undefined) return undefined
    if (Object.hasOwn(Object(result), 'first')) this.#learn((result as Missing).first)
    return result
  }

  #learn(first: string | undefined): void {
    if (first !== undefined && compareEntryIds(first, this.#first) > 0) this.#first = first
  }
}
