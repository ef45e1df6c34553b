import { Condition } from '../../condition.ts'
import type { EventStore, History, Page, StoreListener, StoreState } from '../event-store.ts'
import { LogEntry, type Publication } from '../log-entry.ts'
import { ConnectedStore } from './connected-store.ts'
import { type BrokerDriver, type DriverOwner, NOOP_RECORD, type StoredEntry } from './driver.ts'
import type { BrokerSettings } from './options.ts'
import { RecentEntries } from './recent-entries.ts'
import { encodeRecord, parseRecord } from './record.ts'
import { SharedReads } from './shared-reads.ts'

// How many entries one request to the broker reads.
const PAGE_SIZE = 1_000

/** A log in a broker. A process subscribes to it once for all streams, and caches its newest entries. */
export class BrokerStore extends ConnectedStore implements EventStore, DriverOwner {
  position = ''
  readonly #driver: BrokerDriver
  readonly #settings: BrokerSettings
  readonly #recent: RecentEntries
  readonly #reads: SharedReads
  // For positions that another process has delivered and this one has not.
  readonly #lookups: SharedReads
  readonly #advanced = new Condition()

  constructor(driver: BrokerDriver, settings: BrokerSettings) {
    super()
    this.#driver = driver
    this.#settings = settings
    this.#recent = new RecentEntries(settings.recentEvents, settings.recentBytes)
    const { signal } = new AbortController()
    const read = async (after: string, entries: number) => {
      const upTo = this.#recent.start ?? after
      const range = await driver.range(after, { upTo, entries, bytes: Number.POSITIVE_INFINITY }, signal)
      return range === 'gap' ? range : range.entries
    }
    this.#reads = new SharedReads((after) => read(after, PAGE_SIZE))
    this.#lookups = new SharedReads(async (after) => ((await driver.has(after, signal)) ? [] : 'gap'))
  }

  override open(listener: StoreListener): void {
    super.open(listener)
    this.start(this.#begin())
  }

  append(publication: Publication): Promise<string> {
    const { channel, idempotencyKey } = publication
    return this.onceReady(Date.now() + this.#settings.publishTimeout, () =>
      this.#driver.append(channel, encodeRecord(publication), idempotencyKey),
    )
  }

  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    if (this.state === 'closed') return 'gap'
    if (this.#recent.has(after)) return this.#readRecent(new Set(channels), after, limit)
    const { start } = this.#recent
    if (start === undefined || !this.#driver.isId(after)) return 'gap'
    if (this.#driver.compare(after, this.position) > 0) return this.#awaitPosition(after)
    // The cache has every position after `start`. One that is missing there was never in the log.
    const isOlder = this.#driver.compare(after, start) < 0
    return isOlder ? this.#readRange(new Set(channels), after, limit) : 'gap'
  }

  compare(a: string, b: string): number {
    return this.#driver.compare(a, b)
  }

  history(channels: readonly string[], last: number): History | Promise<History> {
    const names = new Set(channels)
    const { count, after } = this.#recent.newest(names, last)
    return count === last && after !== undefined
      ? { after, isIncomplete: false }
      : this.#olderHistory(names, last)
  }

  staleness(position: string): number {
    const { maxEvents = Number.POSITIVE_INFINITY, maxAge } = this.#settings
    return this.#recent.staleness(position, maxEvents, maxAge || Number.POSITIVE_INFINITY)
  }

  async close(): Promise<void> {
    this.setState('closed')
    this.#advanced.notify()
    await this.#driver.close()
  }

  /** @internal */
  _onEntries(stored: readonly StoredEntry[]): void {
    for (const each of stored) {
      const entry = this.#decode(each, (error) => this.#skip(each, error))
      // A client may resume at the position of a skipped record, because an earlier page ended there.
      this.#recent.push(entry ?? { id: each.id, size: 0 }, each.time ?? Date.now())
      this.position = each.id
      if (entry && !this.ready) this.listener?.onEntry(entry)
    }
    this.#advanced.notify()
  }

  /** @internal */
  _onLoss(position: string): void {
    this.#recent.restart(position)
    this.position = position
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

  #skip({ id, channel, record }: StoredEntry, error: unknown): void {
    if (record !== NOOP_RECORD) this.reportSkip(id, channel, error)
  }

  // A record of another program is no event and no failure. Its position still counts.
  #decode({ id, channel, record }: StoredEntry, onSkip: (error: unknown) => void): LogEntry | undefined {
    try {
      return new LogEntry(id, { ...parseRecord(record), channel })
    } catch (error) {
      onSkip(error)
      return undefined
    }
  }

  #readRecent(channels: ReadonlySet<string>, after: string, limit: number): Page {
    const entries = this.#recent.after(after, channels, limit)
    return { entries, upTo: entries.length < limit ? this.position : (entries.at(-1) as LogEntry).id }
  }

  /** Waits until this process has received a position that a client got from another process. */
  async #awaitPosition(after: string): Promise<Page> {
    if ((await this.#lookups.after(after)) === 'gap') return 'gap'
    await this.#advanced.until(
      () => this.#driver.compare(after, this.position) <= 0 || this.state === 'closed',
    )
    return { entries: [], upTo: after }
  }

  /** Finds where the `last` newest entries begin if that is before the cache. A broker cannot search by channel. */
  async #olderHistory(channels: ReadonlySet<string>, last: number): Promise<History> {
    const { position, isFirst } = await this.#driver.oldest(new AbortController().signal)
    const ids = [position]
    if (last === Number.POSITIVE_INFINITY) return { after: this.#earlier(position), isIncomplete: !isFirst }
    for (let after = position; this.#isOlder(after); ) {
      const page = await this.#readRange(channels, after, PAGE_SIZE)
      if (page === 'gap') return { after: this.position, isIncomplete: true }
      for (const { id } of page.entries) ids.push(id)
      ids.splice(0, ids.length - last - 1)
      after = page.upTo
    }
    const missing = last - this.#recent.newest(channels, last).count
    const isAll = missing >= ids.length
    return {
      after: this.#earlier(ids.at(-1 - missing) ?? (ids[0] as string)),
      isIncomplete: isAll && !isFirst,
    }
  }

  #isOlder(position: string): boolean {
    const { start } = this.#recent
    return start !== undefined && this.#driver.compare(position, start) < 0
  }

  // The cache may hold entries that the broker has evicted.
  #earlier(position: string): string {
    return this.#isOlder(position) ? position : (this.#recent.start ?? position)
  }

  /** Reads from the broker, at most up to where the cache begins. */
  async #readRange(channels: ReadonlySet<string>, after: string, limit: number): Promise<Page> {
    const stored = await this.#reads.after(after)
    const { start } = this.#recent
    if (stored === 'gap' || start === undefined) return 'gap'
    const older = stored.filter(({ id }) => this.#driver.compare(id, start) <= 0)
    const found = older.filter(({ channel }) => channels.has(channel)).slice(0, limit)
    const last = found.length === limit ? found.at(-1) : older.at(-1)
    const isAll = found.length < limit && (older.length < stored.length || stored.length === 0)
    const upTo = isAll ? start : (last?.id ?? after)
    // Skipped records were reported when they were delivered.
    return { entries: found.flatMap((each) => this.#decode(each, () => {}) ?? []), upTo }
  }
}
