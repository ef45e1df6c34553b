import { RingBuffer } from '../../ring-buffer.ts'
import type { LogEntry } from '../log-entry.ts'
import { type PageLimits, takeWithin } from './page-limits.ts'

/** An entry, or the position of a record that is not an event of a hub. */
type CachedEntry = LogEntry | { readonly id: string; readonly size: 0; readonly channel?: undefined }

// The memory of the position of such a record.
const POSITION_BYTES = 200

// The maximum of cached entries that are read once more from the broker.
const MAX_INNER = 1_000

/** The newest entries of a broker's log, in their order. */
export class RecentEntries {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #entries = new RingBuffer<CachedEntry>()
  // When each entry was stored, in ms of `performance.now()`, because the clock of the machine may be set.
  readonly #times = new RingBuffer<number>()
  // The offset from the clock of the broker to `performance.now()`.
  #offset = performance.now() - Date.now()
  // The number of each entry, counted from the first one ever pushed.
  readonly #numbers = new Map<string, number>()
  #count = 0
  #bytes = 0

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** All entries after this position are cached. */
  start: string | undefined

  /** A position that stays cached for a while. At most half of the cache is between `start` and it. */
  get inner(): string | undefined {
    const at = Math.min(MAX_INNER, Math.floor(this.#entries.length / 2))
    return this.#entries.at(at - 1)?.id ?? this.start
  }

  /** Adds an entry that was stored at a time of the broker, in ms since 1970, or now. */
  push(entry: CachedEntry, time?: number): void {
    this.#numbers.set(entry.id, this.#count)
    this.#count += 1
    this.#entries.push(entry)
    this.#times.push(this.#localTime(time))
    this.#bytes += bytesOf(entry)
    while (this.#entries.length > this.#maxEvents || this.#bytes > this.#maxBytes) this.#evict()
  }

  /**
   * Sets `start` after the initial load: the oldest cached entry or, if the cache is empty, the log's newest position.
   */
  begin(newest: string): void {
    this.start ??= this.#entries.at(0)?.id ?? newest
  }

  /** Removes all entries. The next one pushed follows `start`. */
  restart(start: string): void {
    while (this.#entries.length > 0) this.#evict()
    this.start = start
  }

  /** Whether a position is `start` or that of a cached entry. */
  has(id: string): boolean {
    return id === this.start || this.#numbers.has(id)
  }

  /** Returns entries of some channels after a position that it `has`, and whether there are no more. */
  after(id: string, channels: ReadonlySet<string>, limits: PageLimits) {
    return takeWithin(this.#allAfter(id, channels), limits)
  }

  /**
   * Returns how many of the newest entries of some channels are cached, at most `limit`, and the position before the
   * oldest of them.
   */
  newest(channels: ReadonlySet<string>, limit: number): { count: number; after: string | undefined } {
    let count = 0
    // After the initial load, the oldest cached entry is at `start`, from where the broker is read.
    const oldest = this.#entries.at(0)?.id === this.start ? 1 : 0
    for (let at = this.#entries.length - 1; at >= oldest; at--) {
      const { channel } = this.#entries.at(at) as CachedEntry
      if (channel !== undefined && channels.has(channel)) count += 1
      if (count === limit) return { count, after: this.#entries.at(at - 1)?.id ?? this.start }
    }
    return { count, after: this.start }
  }

  /** Returns how close a position is to its eviction here or from a log with these limits, from 0 to 1. */
  staleness(id: string, maxEvents: number, maxAge: number): number {
    if (!this.has(id)) return 1
    const { length } = this.#entries
    const oldest = this.#count - length
    const at = (this.#numbers.get(id) ?? oldest - 1) + 1 - oldest
    if (at === length) return 0
    const share = (length - at) / Math.min(maxEvents, this.#maxEvents)
    const bytes = (((length - at) / length) * this.#bytes) / this.#maxBytes
    // The entry at the position is evicted first.
    return Math.max(
      share,
      bytes,
      (performance.now() - (this.#times.at(Math.max(0, at - 1)) as number)) / maxAge,
    )
  }

  // Returns the local time of an entry. A time in the future shows that the clock of the broker is ahead.
  #localTime(time: number | undefined): number {
    const now = performance.now()
    if (time === undefined) return now
    this.#offset = Math.min(this.#offset, now - time)
    return time + this.#offset
  }

  *#allAfter(id: string, channels: ReadonlySet<string>): Iterable<LogEntry> {
    const oldest = this.#count - this.#entries.length
    for (let at = (this.#numbers.get(id) ?? oldest - 1) + 1 - oldest; ; at++) {
      const entry = this.#entries.at(at)
      if (!entry) return
      if (entry.channel !== undefined && channels.has(entry.channel)) yield entry
    }
  }

  #evict(): void {
    const entry = this.#entries.shift() as CachedEntry
    this.#times.shift()
    this.#bytes -= bytesOf(entry)
    this.#numbers.delete(entry.id)
    this.start = entry.id
  }
}

/** Returns the approximate memory of an entry or a position in bytes. */
function bytesOf(entry: CachedEntry): number {
  return entry.channel === undefined ? POSITION_BYTES : entry.footprint
}
