import { RingBuffer } from '../../ring-buffer.ts'
import type { LogEntry } from '../log-entry.ts'

/** An entry, or the position of a record that is not an event of a hub. */
type CachedEntry = LogEntry | { readonly id: string; readonly size: 0; readonly channel?: undefined }

/** The newest entries of a broker's log, in their order. */
export class RecentEntries {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #entries = new RingBuffer<CachedEntry>()
  // The number of each entry, counted from the first one ever pushed.
  readonly #numbers = new Map<string, number>()
  #count = 0
  #bytes = 0

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** Everything after this position is cached. */
  start: string | undefined

  push(entry: CachedEntry): void {
    this.#numbers.set(entry.id, this.#count)
    this.#count += 1
    this.#entries.push(entry)
    this.#bytes += entry.size
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

  /** Returns at most `limit` entries of some channels after a position that it `has`. */
  after(id: string, channels: ReadonlySet<string>, limit: number): LogEntry[] {
    const oldest = this.#count - this.#entries.length
    const found: LogEntry[] = []
    for (let at = (this.#numbers.get(id) ?? oldest - 1) + 1 - oldest; found.length < limit; at++) {
      const entry = this.#entries.at(at)
      if (!entry) break
      if (entry.channel !== undefined && channels.has(entry.channel)) found.push(entry)
    }
    return found
  }

  #evict(): void {
    const entry = this.#entries.shift() as CachedEntry
    this.#bytes -= entry.size
    this.#numbers.delete(entry.id)
    this.start = entry.id
  }
}
