import { atTurnEnd } from '../../scheduler/turn.ts'
import type { Page, ReadQueue, StoreReader } from '../event-store.ts'
import type { BrokerDriver } from './driver.ts'
import { join, type Lane, type Waiter } from './lane.ts'
import { Lanes } from './lanes.ts'
import { mergePages } from './merge-pages.ts'
import type { PageLimits } from './page-limits.ts'
import { emptyPage, Segment, type SegmentPage } from './segment.ts'
import type { UnknownPositions } from './unknown-positions.ts'

/** The bounds of replays from a broker. */
export interface ReplaySettings {
  readonly replayBytes: number
  readonly maxReplayedEvents: number
  readonly maxReplayedBytes: number
}

/** The cache of the newest entries. Both are positions in the log, and undefined before the store is ready. */
export interface CacheBounds {
  readonly start: string | undefined
  /** The end of all reads. A client that has received everything up to it is not behind the cache again. */
  readonly inner: string | undefined
}

// The maximum of reads in flight, each for one lane.
const MAX_RUNNING = 2
// The maximum of one read.
const PAGE_BYTES = 256 * 1024
const PAGE_ENTRIES = 1_000
// If the distance is larger, in entries for each channel, the channels are read separately, if the broker can do that.
// A client reads at most this many channels.
const MIN_DISTANCE = 2_000
const MAX_CHANNELS = 8

// After this many entries of other channels, a page without entries ends, so that the client is sent its position.
const MAX_HIDDEN = 5_000

/** How much of the log one client has read. */
interface Progress {
  entries: number
  bytes: number
}

/**
 * Reads entries before the cache, for clients that wait for them. A client whose position is in a kept segment gets a
 * page of it. Otherwise it waits in a lane, which reads the broker after one position at a time and keeps the result as
 * a segment. The clients of the lane then check the segments again. A read ends at the start of the next segment, so
 * that no entry is read twice while it is kept.
 */
export class RangeReader {
  readonly #driver: BrokerDriver
  readonly #settings: ReplaySettings
  readonly #cache: CacheBounds
  readonly #lanes: Lanes
  readonly #unknown: UnknownPositions
  readonly #progress = new WeakMap<StoreReader, Progress>()
  // Reads in flight.
  #running = 0
  // Incremented when the log is replaced.
  #generation = 0
  #isScheduled = false
  #isClosed = false

  constructor(driver: BrokerDriver, settings: ReplaySettings, unknown: UnknownPositions, cache: CacheBounds) {
    this.#driver = driver
    this.#settings = settings
    this.#unknown = unknown
    this.#cache = cache
    this.#lanes = new Lanes(driver.compare)
  }

  /** See `EventStore.reads`. */
  get queue(): ReadQueue {
    const waiters = [...this.#lanes].flatMap((lane) => lane.waiters)
    const now = performance.now()
    const since = waiters.reduce((oldest, waiter) => Math.min(oldest, waiter.since), now)
    const running = this.#running
    return {
      waiting: waiters.length,
      running,
      bytes: this.#lanes.bytes + running * PAGE_BYTES,
      oldest: now - since,
    }
  }

  /** Returns entries of some channels after a position before the cache. */
  async read(
    channels: ReadonlySet<string>,
    after: string,
    limits: PageLimits,
    reader: StoreReader,
  ): Promise<Page> {
    const distance = this.#driver.distance?.(after, this.#start) ?? 0
    const isFiltered = this.#isFiltered(channels, distance)
    if (this.#isTooFar(isFiltered ? 0 : distance, reader)) return 'gap'
    const names = isFiltered ? [...channels] : [undefined]
    const lanes = names.map((channel) => this.#lanes.of(channel))
    const results = await Promise.all(
      lanes.map((lane) => this.#pageIn(lane, channels, after, limits, reader)),
    )
    const pages = results.filter((page) => page !== 'gap')
    if (pages.length < results.length) return 'gap'
    const page =
      pages.length === 1 ? (pages[0] as SegmentPage) : mergePages(pages, limits, this.#driver.compare)
    this.#count(page, reader)
    return page
  }

  /** Removes all segments, because the log may be another one. */
  clear(): void {
    this.#generation += 1
    this.#unknown.clear()
    this.#lanes.clear()
  }

  /** Reads in progress then return a gap. */
  close(): void {
    this.#isClosed = true
    this.clear()
    for (const { read } of this.#lanes) read?.abort()
    this.#lanes.close()
  }

  // A store that is not ready returns a gap for each position.
  get #start(): string {
    return this.#cache.start as string
  }

  #progressOf(reader: StoreReader): Progress {
    const progress = this.#progress.get(reader) ?? { entries: 0, bytes: 0 }
    this.#progress.set(reader, progress)
    return progress
  }

  #count({ scannedEntries, scannedBytes }: SegmentPage, reader: StoreReader): void {
    const progress = this.#progressOf(reader)
    progress.entries += scannedEntries
    progress.bytes += scannedBytes
  }

  // Whether channels are read separately, which costs the broker more for short distances or many channels.
  #isFiltered(channels: ReadonlySet<string>, distance: number): boolean {
    if (!this.#driver.channelRange || channels.size > MAX_CHANNELS || distance < MIN_DISTANCE) return false
    const lanes = this.#lanes.othersThan(channels) + channels.size
    return distance >= MIN_DISTANCE * lanes || distance > this.#settings.maxReplayedEvents
  }

  /** `ahead`: how many entries the client still has to read, if that is known. */
  #isTooFar(ahead: number, reader: StoreReader): boolean {
    const { maxReplayedEvents, maxReplayedBytes } = this.#settings
    const { entries, bytes } = this.#progressOf(reader)
    return entries + ahead > maxReplayedEvents || bytes > maxReplayedBytes
  }

  async #pageIn(
    lane: Lane,
    channels: ReadonlySet<string>,
    after: string,
    limits: PageLimits,
    reader: StoreReader,
  ): Promise<SegmentPage | 'gap'> {
    let page = emptyPage(after)
    while (page.entries.length === 0 && page.scannedEntries < MAX_HIDDEN) {
      const position = page.upTo
      // The cache continues from here. After a loss, it may also begin before the client's position.
      if (this.#driver.compare(position, this.#start) >= 0) break
      const segment = lane.segmentAt(position)
      // If a broker numbers its entries, each number in the segment is a position.
      const isKnown = this.#driver.distance !== undefined || segment?.has(position)
      if (segment && isKnown) page = join(page, lane.pageIn(segment, channels, position, limits))
      else if (segment || this.#isMissing(position)) return 'gap'
      else await this.#wait(lane, position, reader, position !== after)
    }
    return page
  }

  #isMissing(position: string): boolean {
    return this.#isClosed || this.#unknown.has(position) || (this.#driver.isEvicted?.(position) ?? false)
  }

  async #wait(lane: Lane, position: string, reader: StoreReader, hasRead: boolean): Promise<void> {
    const { signal } = reader
    signal.throwIfAborted()
    // A client that has already read has a position of the log.
    const isKnown = hasRead || this.#progressOf(reader).entries > 0
    if (!isKnown) this.#unknown.check()
    let onAbort = () => {}
    const wait = new Promise<void>((resolve, reject) => {
      const waiter: Waiter = { position, isKnown, since: performance.now(), resolve, reject }
      onAbort = () => {
        lane.remove(waiter)
        reject(signal.reason)
      }
      lane.wait(waiter)
    })
    signal.addEventListener('abort', onAbort)
    this.#lanes.addWaiting(lane)
    this.#schedule()
    await wait.finally(() => signal.removeEventListener('abort', onAbort))
  }

  // Deferred, so that clients at the end of a segment wait again before the next position is chosen.
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    atTurnEnd(() => {
      this.#isScheduled = false
      this.#startReads()
    })
  }

  #startReads(): void {
    for (let left = this.#lanes.waiting; left > 0 && this.#running < MAX_RUNNING; left--) {
      const lane = this.#lanes.nextWaiting()
      const position = lane?.read ? undefined : lane?.nextPosition()
      if (lane && position !== undefined) void this.#read(lane, position)
    }
  }

  async #read(lane: Lane, position: string): Promise<void> {
    const read = new AbortController()
    const generation = this.#generation
    lane.read = read
    this.#running += 1
    try {
      // Checked again, because other lookups may have found nothing since the client began to wait.
      if (!lane.isKnown(position)) this.#unknown.check()
      const segment = await this.#readSegment(lane, position, read.signal)
      if (generation !== this.#generation) lane.resolveAt(position)
      else this.#onSegment(lane, position, segment)
    } catch (error) {
      // A client that began to wait after the abort needs another read.
      if (read.signal.aborted) lane.resolveAt(position)
      else lane.rejectAt(position, error)
    } finally {
      lane.read = undefined
      this.#running -= 1
      this.#schedule()
    }
  }

  async #readSegment(lane: Lane, position: string, signal: AbortSignal): Promise<Segment | 'gap'> {
    const upTo = this.#endOf(lane, position)
    const early = this.#earlyStart(lane, position)
    const segment = early === position ? 'gap' : await this.#segment(lane, early, upTo, signal)
    // The log may begin between `early` and `position`.
    return segment === 'gap' ? this.#segment(lane, position, upTo, signal) : segment
  }

  async #segment(lane: Lane, after: string, upTo: string, signal: AbortSignal): Promise<Segment | 'gap'> {
    const { channel } = lane
    const limits = { upTo, entries: PAGE_ENTRIES, bytes: PAGE_BYTES }
    const range =
      channel !== undefined && this.#driver.channelRange
        ? await this.#driver.channelRange(channel, after, limits, signal)
        : await this.#driver.range(after, limits, signal)
    return range === 'gap' ? range : new Segment(after, range, this.#driver.compare)
  }

  /** Returns the end of a read. All clients wait before the cache, because a loss notifies them. */
  #endOf(lane: Lane, position: string): string {
    const inner = this.#cache.inner as string
    const next = lane.nextStart(position)
    return next !== undefined && this.#driver.compare(next, inner) < 0 ? next : inner
  }

  /**
   * Returns the start of a read, which is half of the last segment before a position. Other clients may have stopped
   * there, and each would otherwise cause a short read of its own.
   */
  #earlyStart(lane: Lane, position: string): string {
    const { compare } = this.#driver
    if (!lane.last) return position
    const span = this.#driver.distance?.(lane.last.after, lane.last.end) ?? 0
    const early = this.#driver.back?.(position, Math.floor(span / 2)) ?? position
    const previous = lane.previousEnd(position)
    return previous !== undefined && compare(early, previous) < 0 ? previous : early
  }

  #onSegment(lane: Lane, position: string, segment: Segment | 'gap'): void {
    if (segment === 'gap') {
      this.#onGap(lane, position)
      return
    }
    const budget = this.#settings.replayBytes - (this.#running - 1) * PAGE_BYTES
    this.#lanes.add(lane, segment, budget)
  }

  #onGap(lane: Lane, position: string): void {
    const isEvicted = (each: string) => this.#driver.isEvicted?.(each) ?? false
    // Clients with evicted positions are legitimate, and may be many.
    if (!isEvicted(position)) this.#unknown.add(position)
    lane.resolveAt(position)
    lane.resolveFirst(isEvicted)
  }
}
