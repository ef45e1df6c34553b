import { RingBuffer } from '../../ring-buffer.ts'
import type { LogEntry } from '../event-store.ts'

/** An entry, or a place at which there is nothing to tell. */
type CachedEntry = LogEntry | { readonly id: string; readonly frame?: undefined }

/** The entries of a broker's log that this process was told last, in their order. */
export class RecentEntries {
  readonly #maxEvents: number
  readonly #maxBytes: number
  readonly #entries = new RingBuffer<CachedEntry>()
  // Counted from the first entry that was ever told.
  readonly #numbers = new Map<string, number>()
  #count = 0
  #bytes = 0

  constructor(maxEvents: number, maxBytes: number) {
    this.#maxEvents = maxEvents
    this.#maxBytes = maxBytes
  }

  /** The place after which everything is here. */
  start: string | undefined

  push(entry: CachedEntry): void {
    this.#numbers.set(entry.id, this.#count)
    this.#count += 1
    this.#entries.push(entry)
    this.#bytes += sizeOf(entry)
    while (this.#entries.length > this.#maxEvents || this.#bytes > this.#maxBytes) this.#evict()
  }

  /** With nothing evicted, everything is here after its oldest entry; with no entry, after the newest place there is. */
  begin(newest: string): void {
    this.start ??= this.#entries.at(0)?.id ?? newest
  }

  /** Forgets everything: what comes now follows `start`. */
  restart(start: string): void {
    while (this.#entries.length > 0) this.#evict()
    this.start = start
  }

  /** Whether a place is `start` or that of an entry which is here. */
  has(id: string): boolean {
    return id === this.start || this.#numbers.has(id)
  }

  /** At most `limit` entries of some channels after a place that it has. */
  after(id: string, channels: ReadonlySet<string>, limit: number): LogEntry[] {
    const oldest = this.#count - this.#entries.length
    const found: LogEntry[] = []
    for (let at = (this.#numbers.get(id) ?? oldest - 1) + 1 - oldest; found.length < limit; at++) {
      const entry = this.#entries.at(at)
      if (!entry) break
      if (entry.frame && channels.has(entry.channel)) found.push(entry)
    }
    return found
  }

  #evict(): void {
    const entry = this.#entries.shift() as CachedEntry
    this.#bytes -= sizeOf(entry)
    this.#numbers.delete(entry.id)
    this.start = entry.id
  }
}

function sizeOf({ frame }: CachedEntry): number {
  return frame?.size ?? 0
}
