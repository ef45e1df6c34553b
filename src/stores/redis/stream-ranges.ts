import type { OldestEntry, RangeLimits, StoredRange } from '../broker/driver.ts'
import type { History } from '../event-store.ts'
import { compareEntryIds } from './entry-id.ts'
import type { EntryReads } from './entry-reads.ts'
import type { RangeConnection } from './range-connection.ts'
import type { Ask, Missing, StreamReads } from './stream-reads.ts'

// The maximum number of entries that one script searches, so that Redis is not blocked for long.
const SEARCH_STEP = 1_000

/** Reads older entries, and tracks which positions were removed. */
export class StreamRanges {
  readonly #connection: RangeConnection
  readonly #reads: EntryReads
  // The oldest known entry. Redis removes the oldest entries first, so no entry has an earlier position.
  #first = '0-0'
  #losses = 0

  constructor(connection: RangeConnection, reads: EntryReads) {
    this.#connection = connection
    this.#reads = reads
  }

  /** Resets the state of the stream, because the stream may have been replaced. Reads in progress then return a gap. */
  reset(): void {
    this.#losses += 1
    this.#first = '0-0'
  }

  /** True if it is certain that no entry has a position. */
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

  /** Returns where the stream begins, or undefined if it is empty. */
  async oldest(signal: AbortSignal): Promise<OldestEntry | undefined> {
    const losses = this.#losses
    const entry = await this.#connection.read(signal, (ask) => this.#reads.by((reads) => reads.first(ask)))
    if (losses === this.#losses) this.#noteFirst(entry?.id)
    // A log begins with a no-op record. If that was trimmed, events may have been trimmed too.
    return entry && { position: entry.id, isFirst: entry.isNoop }
  }

  /** Reads at a position. Resolves with undefined if no entry has it, or if entries were lost meanwhile. */
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
    if (Object.hasOwn(Object(result), 'first')) this.#noteFirst((result as Missing).first)
    return result
  }

  #noteFirst(first: string | undefined): void {
    if (first !== undefined && compareEntryIds(first, this.#first) > 0) this.#first = first
  }
}
