import { Condition } from '../../condition.ts'
import type {
  BrokerEventStore,
  History,
  Page,
  ReadQueue,
  StoreListener,
  StoreReader,
  StoreState,
} from '../event-store.ts'
import type { LogEntry, Publication } from '../log-entry.ts'
import { ConnectedStore } from './connected-store.ts'
import { type BrokerDriver, type DriverOwner, NOOP_RECORD, type StoredEntry } from './driver.ts'
import type { BrokerSettings } from './options.ts'
import type { PageLimits } from './page-limits.ts'
import { RangeReader } from './range-reader.ts'
import { RecentEntries } from './recent-entries.ts'
import { encodeRecord, toLogEntry } from './record.ts'
import { SharedTasks } from './shared-tasks.ts'
import { UnknownPositions } from './unknown-positions.ts'

/** Returns a reader for a caller without limits. */
function unbounded(): StoreReader {
  return { room: Number.POSITIVE_INFINITY, signal: new AbortController().signal }
}

/** A log in a broker. A process subscribes to it once for all streams, and caches its newest entries. */
export class BrokerStore extends ConnectedStore implements BrokerEventStore, DriverOwner {
  position = ''
  readonly #driver: BrokerDriver
  readonly #settings: BrokerSettings
  readonly #recent: RecentEntries
  readonly #unknown = new UnknownPositions()
  readonly #older: RangeReader
  // Lookups of positions that another process has delivered before this one.
  readonly #lookups = new SharedTasks<boolean>()
  readonly #histories = new SharedTasks<History>()
  readonly #advanced = new Condition()
  #losses = 0

  constructor(driver: BrokerDriver, settings: BrokerSettings) {
    super()
    this.#driver = driver
    this.#settings = settings
    this.#recent = new RecentEntries(settings.recentEvents, settings.recentBytes)
    this.#older = new RangeReader(driver, settings, this.#unknown, this.#recent)
  }

  get reads(): ReadQueue {
    const { waiting, running, ...rest } = this.#older.queue
    return {
      ...rest,
      waiting: waiting + this.#lookups.waiting + this.#histories.waiting,
      running: running + this.#lookups.running + this.#histories.running,
    }
  }

  protected override get failure(): unknown {
    return this.#driver.failure
  }

  override open(listener: StoreListener): void {
    super.open(listener)
    this.start(this.#begin())
  }

  append(publication: Publication): Promise<string> {
    const { channel, idempotencyKey } = publication
    return this.onceReady(performance.now() + this.#settings.publishTimeout, () =>
      this.#driver.append(channel, encodeRecord(publication), idempotencyKey),
    )
  }

  read(
    channels: readonly string[],
    after: string,
    limit: number,
    reader: StoreReader = unbounded(),
  ): Page | Promise<Page> {
    const names = new Set(channels)
    const limits = { entries: limit, bytes: reader.room }
    if (this.state === 'closed') return 'gap'
    if (this.#recent.has(after)) return this.#readRecent(names, after, limits)
    const { start } = this.#recent
    if (start === undefined || !this.#driver.isId(after) || this.#driver.isEvicted?.(after)) return 'gap'
    if (this.#driver.compare(after, this.position) > 0) return this.#awaitPosition(after, reader.signal)
    // The cache has every position after `start`, so a missing one was never in the log.
    if (this.#driver.compare(after, start) > 0) return 'gap'
    return this.#older.read(names, after, limits, reader)
  }

  compare(a: string, b: string): number {
    return this.#driver.compare(a, b)
  }

  history(
    channels: readonly string[],
    last: number,
    signal: AbortSignal = unbounded().signal,
  ): History | Promise<History> {
    const { count, after } = this.#recent.newest(new Set(channels), last)
    if (count === last && after !== undefined) return { after, isIncomplete: false }
    return this.#olderHistory(channels, last, last - count, signal)
  }

  staleness(position: string): number {
    const { maxEvents = Number.POSITIVE_INFINITY, maxAge } = this.#settings
    return this.#recent.staleness(position, maxEvents, maxAge || Number.POSITIVE_INFINITY)
  }

  async close(): Promise<void> {
    this.setState('closed')
    this.#advanced.notify()
    for (const each of [this.#older, this.#lookups, this.#histories]) each.close()
    await this.#driver.close()
  }

  /** @internal */
  _onEntries(stored: readonly StoredEntry[]): void {
    for (const each of stored) {
      const entry = this.#decode(each)
      // A client may resume at the position of a skipped record, because an earlier page ended there.
      this.#recent.push(entry ?? { id: each.id, size: 0 }, each.time)
      this.position = each.id
      if (entry && this.ready) this.listener?.onStored?.(entry)
      else if (entry) this.listener?.onEntry(entry)
    }
    this.#advanced.notify()
  }

  /** @internal */
  _onLoss(position: string): void {
    this.#losses += 1
    this.#recent.restart(position)
    this.position = position
    this.#older.clear()
    this.#advanced.notify()
    this.listener?.onLoss()
  }

  /** @internal */
  _onState(state: StoreState): void {
    this.setState(state)
  }

  async #begin(): Promise<void> {
    const newest = await this.#driver.open(this, {
      entries: this.#settings.recentEvents,
      bytes: this.#settings.recentBytes,
    })
    // No entry was delivered if the log is empty.
    if (this.position === '') this.position = newest
    this.#recent.begin(newest)
    this.ready = undefined
  }

  // Returns undefined for a record of another program, which is neither an event nor a failure. Its position still
  // counts.
  #decode(stored: StoredEntry): LogEntry | undefined {
    try {
      return toLogEntry(stored)
    } catch (error) {
      const { id, channel, record } = stored
      if (record !== NOOP_RECORD) this.reportSkip(id, channel, error)
      return undefined
    }
  }

  #readRecent(channels: ReadonlySet<string>, after: string, limits: PageLimits): Page {
    const { entries, isAll } = this.#recent.after(after, channels, limits)
    return { entries, upTo: isAll ? this.position : (entries.at(-1) as LogEntry).id }
  }

  /** Waits until this process has received a position that a client got from another process. */
  async #awaitPosition(after: string, signal: AbortSignal): Promise<Page> {
    const losses = this.#losses
    this.#unknown.check()
    const isStored = await this.#lookups.run(after, signal, (each) => {
      // Checked again, because other lookups may have found nothing meanwhile.
      this.#unknown.check()
      return this.#driver.has(after, each)
    })
    // The position is not remembered, because the log may have it later.
    if (!isStored) this.#unknown.count()
    if (!isStored) return 'gap'
    const isReached = () => this.#driver.compare(after, this.position) <= 0
    // After a loss, the log may no longer have the position.
    const isOver = () => this.state === 'closed' || losses !== this.#losses
    await this.#advanced.until(() => isReached() || isOver(), signal)
    return { entries: [], upTo: after }
  }

  /** Searches the start of the `last` newest entries, of which `missing` are before the cache. */
  async #olderHistory(
    channels: readonly string[],
    last: number,
    missing: number,
    signal: AbortSignal,
  ): Promise<History> {
    const key = JSON.stringify([this.#recent.start, missing, ...channels])
    const history = await this.#histories.run(key, signal, (each) =>
      last === Number.POSITIVE_INFINITY ? this.#oldest(each) : this.#search(channels, missing, each),
    )
    return { ...history, after: this.#earlier(history.after) }
  }

  async #oldest(signal: AbortSignal): Promise<History> {
    const { position, isFirst } = await this.#driver.oldest(signal)
    return { after: position, isIncomplete: !isFirst }
  }

  async #search(channels: readonly string[], missing: number, signal: AbortSignal): Promise<History> {
    const { start } = this.#recent
    if (start === undefined) return { after: this.position, isIncomplete: true }
    const { maxReplayedEvents } = this.#settings
    return this.#driver.historyBefore(start, new Set(channels), missing, maxReplayedEvents, signal)
  }

  // The cache may hold entries that the broker has evicted.
  #earlier(position: string): string {
    const { start } = this.#recent
    return start === undefined || this.#driver.compare(position, start) < 0 ? position : start
  }
}
