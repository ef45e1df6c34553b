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
  /** Up to where the log is read, so that a client is not behind the cache again when it has received that. */
  readonly inner: string | undefined
}

// How many reads are in flight, each of one lane.
const MAX_RUNNING = 2
// How much one read requests.
const PAGE_BYTES = 256 * 1024
const PAGE_ENTRIES = 1_000
// From this distance on, in entries for each channel, a broker that can do so reads channels alone: at most this many for
// one client.
const MIN_DISTANCE = 2_000
const MAX_CHANNELS = 8

// After this many entries of other channels, a client continues in a page of its own, so that it is sent its position.
const MAX_HIDDEN = 5_000

/** How much of the log one client has read. */
interface Progress {
  entries: number
  bytes: number
}

/**
 * Reads what is older than the cache, for clients that wait for it. A client whose position is in a kept segment gets a page
 * of it. Otherwise it waits in a lane, which reads the broker after one position at a time and keeps the result as a segment.
 * The clients in it then check the segments again. A read ends where the next segment starts, so that none is read twice
 * while it is kept.
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
  // Raised when the log is replaced.
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
    const start = this.#cache.start
    if (start === undefined) return 'gap'
    const distance = this.#driver.distance?.(after, start) ?? 0
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

  /** Forgets everything that was read, because the log may be another one. */
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

  // Reads of single channels cost the broker more than they save if they are short, or of many channels.
  #isFiltered(channels: ReadonlySet<string>, distance: number): boolean {
    if (!this.#driver.channelRange || channels.size > MAX_CHANNELS || distance < MIN_DISTANCE) return false
    const others = this.#lanes.channels.filter((channel) => !channels.has(channel)).length
    return distance >= MIN_DISTANCE * (others + channels.size) || distance > this.#settings.maxReplayedEvents
  }

  /** `ahead`: how many entries the client still has to read, as far as that is known. */
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
      const { start } = this.#cache
      const position = page.upTo
      // The cache continues from here. After a loss, it may also begin before the position of the client.
      if (start !== undefined && this.#driver.compare(position, start) >= 0) break
      const segment = lane.segmentAt(position)
      // A broker that numbers its entries has every number.
      const isKnown = this.#driver.distance !== undefined || segment?.has(position)
      if (segment && isKnown) page = join(page, lane.pageIn(segment, channels, position, limits))
      else if (segment || start === undefined || this.#isMissing(position)) return 'gap'
      else await this.#wait(lane, position, reader, position !== after)
    }
    return page
  }

  #isMissing(position: string): boolean {
    return this.#isClosed || this.#unknown.has(position) || (this.#driver.isEvicted?.(position) ?? false)
  }

  #wait(lane: Lane, position: string, reader: StoreReader, hasRead: boolean): Promise<void> {
    const { signal } = reader
    signal.throwIfAborted()
    // A client that has read before has a position of the log.
    const isKnown = hasRead || this.#progressOf(reader).entries > 0
    if (!isKnown) this.#unknown.check()
    return new Promise<void>((resolve, reject) => {
      const waiter: Waiter = { position, isKnown, since: performance.now(), resolve, reject }
      const onAbort = () => {
        lane.leave(waiter)
        reject(signal.reason)
      }
      waiter.onEnd = () => signal.removeEventListener('abort', onAbort)
      signal.addEventListener('abort', onAbort, { once: true })
      lane.wait(waiter)
      this.#schedule()
    })
  }

  // Not at once, so that clients at the end of a segment wait again before the next position is chosen.
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#startReads()
    })
  }

  #startReads(): void {
    for (const lane of [...this.#lanes]) {
      if (this.#running >= MAX_RUNNING) return
      const position = lane.read ? undefined : lane.nextPosition()
      if (position === undefined) continue
      this.#lanes.moveLast(lane)
      void this.#read(lane, position)
    }
  }

  async #read(lane: Lane, position: string): Promise<void> {
    const read = new AbortController()
    const generation = this.#generation
    lane.read = read
    this.#running += 1
    try {
      // Again, because other lookups may have found nothing since the client began to wait.
      if (!lane.isKnown(position)) this.#unknown.check()
      const segment = await this.#readSegment(lane, position, read.signal)
      if (generation !== this.#generation) lane.resolveAt(position)
      else this.#onSegment(lane, position, segment)
    } catch (error) {
      // A client that came after the read was aborted waits for another one.
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
    // The log may begin between the two.
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

  /** Returns where a read ends. All clients wait before the cache, because a loss notifies them. */
  #endOf(lane: Lane, position: string): string {
    const inner = this.#cache.inner as string
    const next = lane.nextStart(position)
    return next !== undefined && this.#driver.compare(next, inner) < 0 ? next : inner
  }

  /**
   * Returns where a read starts: half of the last segment before a position, where other clients may have stopped that come
   * later. Each of them would otherwise have a short read of its own.
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
    // Clients whose positions were evicted are legitimate, and may be many.
    if (!isEvicted(position)) this.#unknown.add(position)
    lane.resolveAt(position)
    lane.resolveFirst(isEvicted)
  }
}
