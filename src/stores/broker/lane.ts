import { lowerBound } from '../../lower-bound.ts'
import type { LogEntry } from '../log-entry.ts'
import type { Compare } from './driver.ts'
import type { PageLimits } from './page-limits.ts'
import type { Segment, SegmentPage } from './segment.ts'

/** A client that waits for a read after a position. */
export interface Waiter {
  readonly position: string
  /** Whether the log is known to have the position. */
  readonly isKnown: boolean
  /** The start of the wait, in ms of `performance.now()`. */
  readonly since: number
  /** Called when the segments have changed at the position. */
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

// The maximum of consecutive pages for the same clients while others wait at other positions.
const MAX_CONSECUTIVE_PAGES = 16

// The maximum of segments in one page.
const MAX_SEGMENTS = 16

/** The segments of one log, or of one of its channels, and the clients that wait for further segments. */
export class Lane {
  /** Undefined: all channels. */
  readonly channel: string | undefined
  /** The read in flight. */
  read: AbortController | undefined
  /** The range of the last read. */
  last: { readonly after: string; readonly end: string } | undefined
  readonly #compare: Compare
  // Sorted by position. They do not overlap.
  #segments: Segment[] = []
  // Sorted positions of the waiting clients.
  readonly #positions: string[] = []
  readonly #waiters = new Map<string, Set<Waiter>>()
  #consecutivePages = 0

  constructor(channel: string | undefined, compare: Compare) {
    this.channel = channel
    this.#compare = compare
  }

  get isWaiting(): boolean {
    return this.#positions.length > 0
  }

  /** Whether it has no segments, no clients and no read. */
  get isUnused(): boolean {
    return this.#segments.length === 0 && !this.isWaiting && !this.read
  }

  get segments(): readonly Segment[] {
    return this.#segments
  }

  get waiters(): Waiter[] {
    return [...this.#waiters.values()].flatMap((waiters) => [...waiters])
  }

  /** Returns the segment that continues after a position, if it was read. */
  segmentAt(position: string): Segment | undefined {
    const segment = this.#segments[this.#firstStartingAfter(position) - 1]
    return segment && this.#compare(position, segment.end) < 0 ? segment : undefined
  }

  /** Returns a page of a segment and of those that follow it without a break. Larger pages need fewer writes. */
  pageIn(segment: Segment, channels: ReadonlySet<string>, after: string, limits: PageLimits): SegmentPage {
    let page = segment.page(channels, after, limits)
    for (let count = 1; count < MAX_SEGMENTS; count++) {
      const next = this.segmentAt(page.upTo)
      const left = {
        entries: limits.entries - page.entries.length,
        bytes: limits.bytes - sizeOf(page.entries),
      }
      if (!next || page.upTo !== next.after || left.entries <= 0 || left.bytes <= 0) break
      const more = next.page(channels, page.upTo, left)
      // A page always has its first entry.
      if (page.entries.length > 0 && sizeOf(more.entries) > left.bytes) break
      page = join(page, more)
    }
    return page
  }

  /** Returns where the last segment before a position ends. */
  previousEnd(position: string): string | undefined {
    return this.#segments[this.#firstStartingAfter(position) - 1]?.end
  }

  /** Returns where the first segment after a position starts. */
  nextStart(position: string): string | undefined {
    return this.#segments[this.#firstStartingAfter(position)]?.after
  }

  /** Adds a segment, and resolves the clients that wait for it. */
  addSegment(segment: Segment): void {
    this.#segments.splice(this.#firstStartingAfter(segment.after), 0, segment)
    this.#consecutivePages = segment.after === this.last?.end ? this.#consecutivePages + 1 : 0
    this.last = { after: segment.after, end: segment.end }
    const first = this.#firstWaitingFrom(segment.after)
    const next = this.#firstWaitingFrom(segment.end)
    for (const position of this.#positions.slice(first, next)) this.resolveAt(position)
  }

  removeSegment(segment: Segment): void {
    this.#segments = this.#segments.filter((each) => each !== segment)
  }

  wait(waiter: Waiter): void {
    const { position } = waiter
    const waiters = this.#waiters.get(position)
    if (waiters) return void waiters.add(waiter)
    this.#waiters.set(position, new Set([waiter]))
    this.#positions.splice(this.#firstWaitingFrom(position), 0, position)
  }

  /** Removes a client. If it was the last one, aborts the read in flight. */
  remove(waiter: Waiter): void {
    const waiters = this.#waiters.get(waiter.position)
    if (waiters?.delete(waiter) && waiters.size === 0) this.#removeAt(waiter.position)
    if (!this.isWaiting) this.read?.abort()
  }

  /** Returns the position of the next read. Like an elevator, it is the next one, or else the first one. */
  nextPosition(): string | undefined {
    if (!this.last) return this.#positions[0]
    const at = this.#firstWaitingFrom(this.last.end)
    const isTurnOver =
      this.#consecutivePages >= MAX_CONSECUTIVE_PAGES && this.#positions[at] === this.last.end
    return this.#positions[isTurnOver ? at + 1 : at] ?? this.#positions[0]
  }

  /** Whether the log is known to have a position at which clients wait. */
  isKnown(position: string): boolean {
    return [...(this.#waiters.get(position) ?? [])].some(({ isKnown }) => isKnown)
  }

  /** Notifies the clients at a position, which then check the segments again. */
  resolveAt(position: string): void {
    for (const waiter of this.#removeAt(position)) waiter.resolve()
  }

  /** Notifies the clients at the first positions, as long as a condition is true for them. */
  resolveFirst(isTrue: (position: string) => boolean): void {
    for (let [first] = this.#positions; first !== undefined && isTrue(first); [first] = this.#positions)
      this.resolveAt(first)
  }

  rejectAt(position: string, error: unknown): void {
    for (const waiter of this.#removeAt(position)) waiter.reject(error)
  }

  /** Removes all segments, and notifies all clients. */
  clear(): void {
    this.#segments = []
    this.last = undefined
    for (const position of [...this.#positions]) this.resolveAt(position)
  }

  #removeAt(position: string): Iterable<Waiter> {
    const waiters = this.#waiters.get(position)
    if (!waiters) return []
    this.#waiters.delete(position)
    this.#positions.splice(this.#firstWaitingFrom(position), 1)
    return waiters
  }

  #firstStartingAfter(position: string): number {
    const segments = this.#segments
    return lowerBound(segments.length, (at) => this.#compare((segments[at] as Segment).after, position) > 0)
  }

  #firstWaitingFrom(position: string): number {
    const positions = this.#positions
    return lowerBound(positions.length, (at) => this.#compare(positions[at] as string, position) >= 0)
  }
}

function sizeOf(entries: readonly LogEntry[]): number {
  return entries.reduce((sum, { size }) => sum + size, 0)
}

/** Returns two pages as one. The second MUST begin where the first ends. */
export function join(first: SegmentPage, second: SegmentPage): SegmentPage {
  return {
    entries: first.entries.length === 0 ? second.entries : [...first.entries, ...second.entries],
    upTo: second.upTo,
    scannedEntries: first.scannedEntries + second.scannedEntries,
    scannedBytes: first.scannedBytes + second.scannedBytes,
  }
}
