import { lowerBound } from '../../lower-bound.ts'
import { LogEntry, textBytes } from '../log-entry.ts'
import type { Compare, StoredEntry, StoredRange } from './driver.ts'
import { type PageLimits, takeWithin } from './page-limits.ts'
import { toLogEntry } from './record.ts'

/** A part of a segment for one client, and how much of the log it covers. */
export interface SegmentPage {
  readonly entries: readonly LogEntry[]
  readonly upTo: string
  readonly scannedEntries: number
  readonly scannedBytes: number
}

// The memory of the objects of a segment, and of an entry that is not decoded, in bytes.
const SEGMENT_OVERHEAD = 1_000
const OVERHEAD = 200

/** A part of a log that was read from the broker. An entry is decoded when the first client needs it. */
export class Segment {
  /** Complete after this position. */
  readonly after: string
  /** Complete up to this position, which may be that of an entry of another channel. */
  readonly end: string
  /** When a client last read it, in ms of `performance.now()`. */
  usedAt = performance.now()
  /** Called when a client has read it, with the bytes by which its memory has grown. */
  onRead?: (grownBy: number) => void
  /** The memory of the segment, in bytes. */
  bytes = SEGMENT_OVERHEAD
  readonly #compare: Compare
  readonly #ids: string[] = []
  // A decoded entry replaces its record. Null: the record of another program, which was reported when it was delivered.
  readonly #entries: Array<{ readonly channel: string; readonly record: string } | LogEntry | null> = []
  // The number of bytes of records before each entry.
  readonly #offsets: number[] = [0]
  // The indices of the entries of each channel.
  readonly #byChannel = new Map<string, number[]>()

  constructor(after: string, { entries, end }: StoredRange, compare: Compare) {
    this.after = after
    this.end = end
    this.#compare = compare
    for (const { id, channel, record } of entries) {
      const at = this.#ids.push(id) - 1
      this.#entries.push({ channel, record })
      this.#offsets.push((this.#offsets[at] as number) + record.length)
      this.bytes += textBytes(record) + OVERHEAD
      const indices = this.#byChannel.get(channel)
      if (indices) indices.push(at)
      else this.#byChannel.set(channel, [at])
    }
  }

  /** Whether a position is the start, the end, or an entry of the segment. */
  has(position: string): boolean {
    if (position === this.after || position === this.end) return true
    return this.#ids[this.#indexAfter(position) - 1] === position
  }

  /** Returns the entries of some channels after a position, which MUST be in the segment. */
  page(channels: ReadonlySet<string>, after: string, limits: PageLimits): SegmentPage {
    this.usedAt = performance.now()
    const { bytes } = this
    const first = this.#indexAfter(after)
    const { entries, isAll } = takeWithin(this.#entriesOf(channels, first), limits)
    this.onRead?.(this.bytes - bytes)
    const upTo = isAll ? this.end : (entries.at(-1) as LogEntry).id
    const next = isAll ? this.#ids.length : this.#indexAfter(upTo)
    const scannedBytes = (this.#offsets[next] as number) - (this.#offsets[first] as number)
    return { entries, upTo, scannedEntries: next - first, scannedBytes }
  }

  *#entriesOf(channels: ReadonlySet<string>, first: number): Iterable<LogEntry> {
    for (const at of this.#indicesOf(channels, first)) {
      const entry = this.#decode(at)
      if (entry) yield entry
    }
  }

  // Merges the indices by channel, because a client of a quiet channel would otherwise visit all entries.
  *#indicesOf(channels: ReadonlySet<string>, first: number): Iterable<number> {
    const names = channels.size < this.#byChannel.size ? channels : this.#byChannel.keys()
    const lists: number[][] = []
    for (const name of names) {
      const indices = channels.has(name) ? this.#byChannel.get(name) : undefined
      if (indices) lists.push(indices)
    }
    const [all = []] = lists.length > 1 ? [lists.flat().sort((a, b) => a - b)] : lists
    for (let at = lowerBound(all.length, (at) => (all[at] as number) >= first); at < all.length; at++)
      yield all[at] as number
  }

  #indexAfter(position: string): number {
    return lowerBound(this.#ids.length, (at) => this.#compare(this.#ids[at] as string, position) > 0)
  }

  #decode(at: number): LogEntry | null {
    const entry = this.#entries[at] as LogEntry | { channel: string; record: string } | null
    if (entry === null || entry instanceof LogEntry) return entry
    const decoded = decode({ id: this.#ids[at] as string, ...entry })
    this.#entries[at] = decoded
    this.bytes += (decoded?.footprint ?? 0) - textBytes(entry.record)
    return decoded
  }
}

/** Returns a page without entries, which covers nothing. */
export function emptyPage(upTo: string): SegmentPage {
  return { entries: [], upTo, scannedEntries: 0, scannedBytes: 0 }
}

function decode(stored: StoredEntry): LogEntry | null {
  try {
    return toLogEntry(stored)
  } catch {
    return null
  }
}
