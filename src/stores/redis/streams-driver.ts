import { setTimeout as pause } from 'node:timers/promises'
import type { SseError } from '../../errors.ts'
import {
  type BrokerDriver,
  type DriverOwner,
  NOOP_RECORD,
  type OldestEntry,
  type RangeLimits,
  type RecentLimits,
  type StoredEntry,
  type StoredRange,
} from '../broker/driver.ts'
import { unusableError } from '../broker/errors.ts'
import type { History } from '../event-store.ts'
import { backoff } from './backoff.ts'
import { prefixOf } from './client.ts'
import type { RedisClient } from './connection.ts'
import { ConnectionPair, type Role } from './connection-pair.ts'
import { compareEntryIds, isEntryId } from './entry-id.ts'
import { EntryReads } from './entry-reads.ts'
import { cannotWrite, isPermanent } from './errors.ts'
import { LiveReadCount } from './live-read-count.ts'
import { RangeConnection } from './range-connection.ts'
import { StreamCommands, type StreamSettings } from './stream-commands.ts'
import { StreamRanges } from './stream-ranges.ts'

// How long a read waits for an entry, in ms. After an empty read, the position is checked.
const BLOCK_TIME = 5_000
// How often entries over `maxAge` are removed, in ms.
const TRIM_INTERVAL = 60_000

/**
 * A log in a stream of Redis: one key, and a connection each for blocking reads, for ranges, and for everything else.
 */
export class StreamsDriver implements BrokerDriver {
  readonly isId = isEntryId
  readonly compare = compareEntryIds
  readonly #client: RedisClient
  readonly #settings: StreamSettings
  readonly #count = new LiveReadCount()
  #connections!: ConnectionPair
  #rangeConnection!: RangeConnection
  #ranges!: StreamRanges
  #commands!: StreamCommands
  #owner!: DriverOwner
  // Position of the last entry read. Kept over empty reads, because `$` would skip entries added between two reads.
  #position = ''
  // When the next trim is due, as a time of `performance.now`.
  #trimsAt = 0
  // The position at the last trim. The next one keeps it, because other processes may receive an entry a little later.
  #keptFrom = ''
  // Added to `performance.now`, the latest time that the clock of the server may have, in ms.
  #clockOffset = Number.POSITIVE_INFINITY
  #isReading = false
  // How many attempts have failed since a connection became ready, or since the last successful read.
  #attempts = 0
  // Whether the server of the blocking reads was found to have the entries after the position.
  #isChecked = true

  constructor(client: RedisClient, settings: StreamSettings) {
    this.#client = client
    this.#settings = { ...settings, key: prefixOf(client) + settings.key }
  }

  get failure(): unknown {
    return this.#connections?.failure
  }

  async open(owner: DriverOwner, recent: RecentLimits): Promise<string> {
    this.#owner = owner
    this.#openConnections()
    while (this.#position === '') await this.#tryToBegin(recent)
    owner._onState('ready')
    void this.#readForever()
    return this.#position
  }

  append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    return this.#commands.append(channel, record, idempotencyKey)
  }

  range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'> {
    return this.#ranges.range(after, limits, signal)
  }

  has(position: string, signal: AbortSignal): Promise<boolean> {
    return this.#ranges.has(position, signal)
  }

  isEvicted(position: string): boolean {
    return this.#ranges.isEvicted(position)
  }

  historyBefore(...parameters: Parameters<BrokerDriver['historyBefore']>): Promise<History> {
    return this.#ranges.historyBefore(...parameters)
  }

  async oldest(signal: AbortSignal): Promise<OldestEntry> {
    return (await this.#ranges.oldest(signal)) ?? { position: this.#position, isFirst: false }
  }

  async close(): Promise<void> {
    this.#rangeConnection?.close()
    this.#connections?.close()
  }

  #openConnections(): void {
    const { key, publishTimeout } = this.#settings
    this.#connections = new ConnectionPair(this.#client, key, publishTimeout, {
      // If only the writer was lost, the blocking read is still running.
      onReady: () => {
        this.#attempts = 0
        if (this.#connections.isUp && this.#isReading) this.#owner._onState('ready')
      },
      onLost: (role) => this.#onLost(role),
    })
    const open = this.#connections.open.bind(this.#connections)
    this.#rangeConnection = new RangeConnection(open, publishTimeout)
    const reads = new EntryReads(key)
    this.#commands = new StreamCommands(this.#connections, reads, this.#settings)
    this.#ranges = new StreamRanges(this.#rangeConnection, reads)
  }

  /** Begins once the connections are ready. Returns for a retry if the server is starting or rejects writes for now. */
  async #tryToBegin(recent: RecentLimits): Promise<void> {
    await this.#connections.whenReady()
    let mismatch: SseError | undefined
    try {
      mismatch = await this.#commands.typeMismatch()
      if (!mismatch) await this.#begin(recent)
    } catch (error) {
      this.#connections.fail(error as Error)
      if (isPermanent(error as Error)) throw unusableError(error)
      await this.#pause()
    }
    if (mismatch) throw mismatch
  }

  /** Delivers the newest entries and sets the position after them. */
  async #begin(recent: RecentLimits): Promise<void> {
    const newest = await this.#commands.newest(recent)
    this.#position = newest[0]?.id ?? (await this.#commands.appendNoop())
    this.#count.observe(newest)
    this.#owner._onEntries(newest.reverse())
  }

  async #readForever(): Promise<void> {
    while (!this.#connections.isClosed) {
      try {
        if (!this.#isChecked) await this.#check()
        if (this.#connections.isUp) this.#owner._onState('ready')
        await this.#trim()
        if (this.#isChecked) await this.#read()
      } catch {
        this.#isChecked = false
        await this.#reconnect()
      }
    }
  }

  // Requires a check of the position, because the next server may lack entries that this process has delivered.
  #onLost(role: Role): void {
    if (role === 'reader') {
      this.#isChecked = false
      this.#count.restart()
    }
    this.#owner._onState(this.#position === '' ? 'connecting' : 'reconnecting')
  }

  /** Delivers the next entries. */
  async #read(): Promise<void> {
    this.#isReading = true
    const count = this.#count.next
    const entries = await this.#commands.next(this.#position, count, BLOCK_TIME).finally(() => {
      this.#isReading = false
    })
    this.#attempts = 0
    this.#count.observe(entries)
    const isOvertaken = await this.#isOvertaken(entries, count)
    const [first] = entries
    this.#position = entries.at(-1)?.id ?? this.#position
    // The position itself was trimmed. The log is complete after the first entry read, so its id is the new position.
    if (first && isOvertaken) this.#lose(first.id)
    this.#owner._onEntries(isOvertaken ? entries.slice(1) : entries)
    if (entries.length === 0) this.#isChecked = false
  }

  /**
   * Whether entries were removed before they were read. A trim requires so many new entries that the read is full, or
   * an old position, for example of a process that was frozen. A stream that was deleted begins with a no-op record.
   */
  async #isOvertaken(entries: readonly StoredEntry[], count: number): Promise<boolean> {
    const isFull = entries.length >= Math.min(count, this.#settings.maxEvents)
    const mayBeRemoved = isFull || this.#isOld || entries.some(({ record }) => record === NOOP_RECORD)
    return entries.length > 0 && mayBeRemoved && !(await this.#commands.has(this.#position))
  }

  // No entry after the position is older than it. Half of `maxAge` is left for steps of the clock.
  get #isOld(): boolean {
    const { maxAge } = this.#settings
    const age = performance.now() + this.#clockOffset - Number.parseInt(this.#position, 10)
    return maxAge > 0 && age >= maxAge / 2
  }

  /** Reports a loss if entries after the position may be lost, because the stream was trimmed, flushed or replaced. */
  async #check(): Promise<void> {
    // `#onLost` sets it to false again if the connection is lost meanwhile.
    this.#isChecked = true
    const newest = await this.#commands.lastId()
    if (newest === this.#position) return
    if (newest && compareEntryIds(newest, this.#position) > 0 && (await this.#commands.has(this.#position)))
      return
    this.#position = newest ?? (await this.#commands.appendNoop())
    this.#lose(this.#position)
  }

  #lose(position: string): void {
    this.#ranges.reset()
    this.#owner._onLoss(position)
  }

  /** Removes entries over `maxAge`. XADD trims by `maxEvents` only. */
  async #trim(): Promise<void> {
    const { maxAge } = this.#settings
    if (maxAge === 0 || performance.now() < this.#trimsAt) return
    this.#trimsAt = performance.now() + Math.min(maxAge, TRIM_INTERVAL)
    // Uses the clock of the server, which assigns the ids. A process with a wrong clock would remove entries that
    // others need.
    const askedAt = performance.now()
    const time = await this.#commands.time()
    this.#clockOffset = time - askedAt
    const oldest = `${time - maxAge}-0`
    // The entry at the position is kept. Without it, a later check could not determine that nothing was lost.
    const keptFrom = this.#keptFrom || this.#position
    this.#keptFrom = this.#position
    try {
      await this.#commands.trim(compareEntryIds(oldest, keptFrom) < 0 ? oldest : keptFrom)
    } catch (error) {
      // A full disk is not an outage. The next trim retries.
      if (!cannotWrite(error as Error)) throw error
    }
  }

  async #reconnect(): Promise<void> {
    if (this.#connections.isClosed) return
    this.#owner._onState('reconnecting')
    await this.#pause()
    await this.#connections.whenUp()
  }

  // Does not keep the process running after a close.
  async #pause(): Promise<void> {
    await pause(backoff(this.#attempts), undefined, { ref: false })
    this.#attempts += 1
  }
}
