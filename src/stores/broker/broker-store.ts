import { Condition } from '../../condition.ts'
import { storeSkipChannel, storeStateChannel } from '../../diagnostics.ts'
import { SseError } from '../../errors.ts'
import type { EventStore, Page, StoreListener, StoreState } from '../event-store.ts'
import { LogEntry, type Publication } from '../log-entry.ts'
import { withDeadline } from './deadline.ts'
import { type BrokerDriver, type DriverOwner, NOOP_RECORD, type StoredEntry } from './driver.ts'
import { RecentEntries } from './recent-entries.ts'
import { decodeRecord, encodeRecord } from './record.ts'
import { SharedReads } from './shared-reads.ts'

export interface BrokerSettings {
  /** How much of the log a process keeps to itself, so that clients who come back cost the broker nothing. */
  readonly recentEvents: number
  readonly recentBytes: number
  /** How long a publish waits for the log to begin, in ms. */
  readonly publishTimeout: number
}

// A range of the broker's is read in pages of so many entries.
const PAGE_SIZE = 1_000

/** A log that a broker keeps: it is followed once for all streams of this process, and read from memory where it can be. */
export class BrokerStore implements EventStore, DriverOwner {
  position = ''
  ready: Promise<void> | undefined
  state: StoreState = 'connecting'
  readonly #driver: BrokerDriver
  readonly #settings: BrokerSettings
  readonly #recent: RecentEntries
  readonly #reads: SharedReads
  // Of places that another process has told, and this one has not been told.
  readonly #lookups: SharedReads
  readonly #advanced = new Condition()
  #listener: StoreListener | undefined

  constructor(driver: BrokerDriver, settings: BrokerSettings) {
    this.#driver = driver
    this.#settings = settings
    this.#recent = new RecentEntries(settings.recentEvents, settings.recentBytes)
    this.#reads = new SharedReads((after) => driver.range(after, PAGE_SIZE))
    this.#lookups = new SharedReads((after) => driver.range(after, 1))
  }

  open(follower: StoreListener): void {
    if (this.#listener) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#listener = follower
    this.ready = this.#begin()
    // Who publishes or follows is told.
    this.ready.catch(() => {})
  }

  async append(publication: Publication): Promise<string> {
    if (this.ready) await withDeadline(Date.now() + this.#settings.publishTimeout, this.ready)
    const { channel, idempotencyKey } = publication
    return this.#driver.append(channel, encodeRecord(publication), idempotencyKey)
  }

  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    if (this.state === 'closed') return 'gap'
    if (this.#recent.has(after)) return this.#readRecent(new Set(channels), after, limit)
    const { start } = this.#recent
    if (start === undefined || !this.#driver.isId(after)) return 'gap'
    if (this.#driver.compare(after, this.position) > 0) return this.#awaitPosition(after)
    // What is newer than the oldest entry here, and not here, was never in the log.
    const isOlder = this.#driver.compare(after, start) < 0
    return isOlder ? this.#readRange(new Set(channels), after, limit) : 'gap'
  }

  async close(): Promise<void> {
    this.#state('closed')
    this.#advanced.notify()
    await this.#driver.close()
  }

  /** @internal */
  _onEntries(stored: readonly StoredEntry[]): void {
    for (const each of stored) {
      const entry = this.#decode(each, (error) => skip(this, each, error))
      // A client may resume at the position of a skipped record, because an earlier page ended there.
      this.#recent.push(entry ?? { id: each.id, size: 0 })
      this.position = each.id
      if (entry && !this.ready) this.#listener?.onEntry(entry)
    }
    this.#advanced.notify()
  }

  /** @internal */
  _onLoss(head: string): void {
    this.#recent.restart(head)
    this.position = head
    this.#advanced.notify()
    this.#listener?.onLoss()
  }

  /** @internal */
  _onState(state: StoreState): void {
    if (this.state !== 'closed') this.#state(state)
  }

  async #begin(): Promise<void> {
    const newest = await this.#driver.open(this, this.#settings.recentEvents)
    // Where what another program wrote lies behind all events, nothing here is at the newest place.
    if (this.position === '') this.position = newest
    this.#recent.begin(newest)
    this.ready = undefined
  }

  #state(state: StoreState): void {
    if (state === this.state) return
    this.state = state
    if (storeStateChannel.hasSubscribers) storeStateChannel.publish({ store: this, state })
  }

  // A record of another program is no event and no failure. Its position still counts.
  #decode({ id, channel, record }: StoredEntry, onSkip: (error: unknown) => void): LogEntry | undefined {
    try {
      return new LogEntry(id, decodeRecord(record, channel))
    } catch (error) {
      onSkip(error)
      return undefined
    }
  }

  #readRecent(channels: ReadonlySet<string>, after: string, limit: number): Page {
    const entries = this.#recent.after(after, channels, limit)
    return { entries, upTo: entries.length < limit ? this.position : (entries.at(-1) as LogEntry).id }
  }

  /** Another process may have told a client what this one has not been told yet. */
  async #awaitPosition(after: string): Promise<Page> {
    if ((await this.#lookups.after(after)) === 'gap') return 'gap'
    await this.#advanced.until(
      () => this.#driver.compare(after, this.position) <= 0 || this.state === 'closed',
    )
    return { entries: [], upTo: after }
  }

  /** From the broker, up to where this process has everything itself. */
  async #readRange(channels: ReadonlySet<string>, after: string, limit: number): Promise<Page> {
    const stored = await this.#reads.after(after)
    const { start } = this.#recent
    if (stored === 'gap' || start === undefined) return 'gap'
    const older = stored.filter(({ id }) => this.#driver.compare(id, start) <= 0)
    const found = older.filter(({ channel }) => channels.has(channel)).slice(0, limit)
    const last = found.length === limit ? found.at(-1) : older.at(-1)
    const isAll = found.length < limit && (older.length < stored.length || stored.length === 0)
    const upTo = isAll ? start : (last?.id ?? after)
    // What is passed over was reported when it was told.
    return { entries: found.flatMap((each) => this.#decode(each, () => {}) ?? []), upTo }
  }
}

function skip(store: EventStore, { id, channel, record }: StoredEntry, error: unknown): void {
  if (record === NOOP_RECORD || !storeSkipChannel.hasSubscribers) return
  storeSkipChannel.publish({ store, id, channel, error })
}
