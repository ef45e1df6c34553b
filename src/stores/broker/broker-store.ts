import { Waiters } from '../../condition.ts'
import { logSkipChannel, logStateChannel } from '../../diagnostics.ts'
import { SseError } from '../../errors.ts'
import type { SseEvent } from '../../event/event.ts'
import type { AppendOptions, EventLog, LogEntry, LogFollower, LogState, Page } from '../event-store.ts'
import { within } from './deadline.ts'
import { type Engine, type EngineOwner, MARK, type StoredEntry } from './driver.ts'
import { Recent } from './recent-entries.ts'
import { decodeRecord, type EventRecord, encodeRecord, toEvent } from './record.ts'
import { SharedReads } from './shared-reads.ts'

export interface RemoteLogSettings {
  /** How much of the log a process keeps to itself, so that clients who come back cost the broker nothing. */
  readonly recentEvents: number
  readonly recentBytes: number
  /** How long a publish waits for the log to begin, in ms. */
  readonly publishTimeout: number
}

// A range of the broker's is read in pages of so many entries.
const RANGE = 1_000

/** A log that a broker keeps: it is followed once for all streams of this process, and read from memory where it can be. */
export class RemoteLog implements EventLog, EngineOwner {
  head = ''
  ready: Promise<void> | undefined
  state: LogState = 'connecting'
  readonly #engine: Engine
  readonly #settings: RemoteLogSettings
  readonly #recent: Recent
  readonly #reads: SharedReads
  // Of places that another process has told, and this one has not been told.
  readonly #ahead: SharedReads
  readonly #told = new Waiters()
  #follower: LogFollower | undefined

  constructor(engine: Engine, settings: RemoteLogSettings) {
    this.#engine = engine
    this.#settings = settings
    this.#recent = new Recent(settings.recentEvents, settings.recentBytes)
    this.#reads = new SharedReads((after) => engine.range(after, RANGE))
    this.#ahead = new SharedReads((after) => engine.range(after, 1))
  }

  open(follower: LogFollower): void {
    if (this.#follower) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#follower = follower
    this.ready = this.#begin()
    // Who publishes or follows is told.
    this.ready.catch(() => {})
  }

  async append(channel: string, event: SseEvent, options: AppendOptions = {}): Promise<string> {
    // What cannot be sent is not kept for others either.
    this.#follower?.entry('', channel, event, options)
    const record = encodeRecord(this.#record(event, options))
    if (this.ready) await within(Date.now() + this.#settings.publishTimeout, this.ready)
    return this.#engine.append(channel, record, options.idempotencyKey)
  }

  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    if (this.state === 'closed') return 'gap'
    if (this.#recent.has(after)) return this.#readRecent(new Set(channels), after, limit)
    const { start } = this.#recent
    if (start === undefined || !this.#engine.isId(after)) return 'gap'
    if (this.#engine.compare(after, this.head) > 0) return this.#awaitPlace(after)
    // What is newer than the oldest entry here, and not here, was never in the log.
    const isOlder = this.#engine.compare(after, start) < 0
    return isOlder ? this.#readRange(new Set(channels), after, limit) : 'gap'
  }

  async close(): Promise<void> {
    this.#state('closed')
    this.#told.notify()
    await this.#engine.close()
  }

  /** @internal */
  _entries(stored: readonly StoredEntry[]): void {
    for (const each of stored) {
      const entry = this.#decode(each, (error) => skip(this, each, error))
      // What is nobody's event is a place all the same, at which a client may have stopped.
      this.#recent.push(entry ?? { id: each.id })
      this.head = each.id
      if (entry && !this.ready) this.#follower?.onEntry(entry)
    }
    this.#told.notify()
  }

  /** @internal */
  _lost(head: string): void {
    this.#recent.restart(head)
    this.head = head
    this.#told.notify()
    this.#follower?.onLoss()
  }

  /** @internal */
  _state(state: LogState): void {
    if (this.state !== 'closed') this.#state(state)
  }

  async #begin(): Promise<void> {
    const newest = await this.#engine.open(this, this.#settings.recentEvents)
    // Where what another program wrote lies behind all events, nothing here is at the newest place.
    if (this.head === '') this.head = newest
    this.#recent.begin(newest)
    this.ready = undefined
  }

  #state(state: LogState): void {
    if (state === this.state) return
    this.state = state
    if (logStateChannel.hasSubscribers) logStateChannel.publish({ log: this, state })
  }

  #record({ event, data, retry, key }: SseEvent, { conflate }: AppendOptions): EventRecord {
    const isText = typeof data === 'string'
    return { event, data: (this.#follower as LogFollower).serialize(data), retry, key, conflate, isText }
  }

  // What another program wrote is nobody's event, and no reason to stop.
  #decode({ id, channel, record }: StoredEntry, onSkip: (error: unknown) => void): LogEntry | undefined {
    const decoded = decodeRecord(record)
    try {
      if (!decoded) throw new SseError('ERR_SSE_EVENT', 'It is no event of a hub.')
      const { event, data, retry, key, conflate } = decoded
      const entry = (this.#follower as LogFollower).entry(
        id,
        channel,
        { event, data, retry, key },
        { conflate },
      )
      return { ...entry, event: toEvent(decoded, id) }
    } catch (error) {
      onSkip(error)
      return undefined
    }
  }

  #readRecent(channels: ReadonlySet<string>, after: string, limit: number): Page {
    const entries = this.#recent.after(after, channels, limit)
    return { entries, upTo: entries.length < limit ? this.head : (entries.at(-1) as LogEntry).id }
  }

  /** Another process may have told a client what this one has not been told yet. */
  async #awaitPlace(after: string): Promise<Page> {
    if ((await this.#ahead.after(after)) === 'gap') return 'gap'
    await this.#told.until(() => this.#engine.compare(after, this.head) <= 0 || this.state === 'closed')
    return { entries: [], upTo: after }
  }

  /** From the broker, up to where this process has everything itself. */
  async #readRange(channels: ReadonlySet<string>, after: string, limit: number): Promise<Page> {
    const stored = await this.#reads.after(after)
    const { start } = this.#recent
    if (stored === 'gap' || start === undefined) return 'gap'
    const older = stored.filter(({ id }) => this.#engine.compare(id, start) <= 0)
    const found = older.filter(({ channel }) => channels.has(channel)).slice(0, limit)
    const last = found.length === limit ? found.at(-1) : older.at(-1)
    const isAll = found.length < limit && (older.length < stored.length || stored.length === 0)
    const upTo = isAll ? start : (last?.id ?? after)
    // What is passed over was reported when it was told.
    return { entries: found.flatMap((each) => this.#decode(each, () => {}) ?? []), upTo }
  }
}

function skip(log: EventLog, { id, channel, record }: StoredEntry, error: unknown): void {
  if (record === MARK || !logSkipChannel.hasSubscribers) return
  logSkipChannel.publish({ log, id, channel, error })
}
