import { setTimeout as pause } from 'node:timers/promises'
import type { SseError } from '../../errors.ts'
import type { BrokerDriver, DriverOwner, StoredEntry } from '../broker/driver.ts'
import { prefixOf } from './client.ts'
import type { RedisClient } from './connection.ts'
import { ConnectionPair } from './connection-pair.ts'
import { compareEntryIds, isEntryId } from './entry-id.ts'
import { closedError, commandError, isPermanent, unusableError } from './errors.ts'
import { StreamCommands, type StreamSettings } from './stream-commands.ts'

// How long a read waits for an entry, in ms. After it, the place is looked after.
const BLOCK_TIME = 5_000
const PAGE = 1_000
// What lies between two attempts, in ms.
const RETRY_DELAY = 50
// How often entries that are too old are looked for, in ms.
const TRIM_EVERY = 60_000

/** A log in a stream of Redis: one key, one blocking read, and one connection for everything else. */
export class StreamsDriver implements BrokerDriver {
  readonly isId = isEntryId
  readonly compare = compareEntryIds
  readonly #client: RedisClient
  readonly #settings: StreamSettings
  #connections!: ConnectionPair
  #commands!: StreamCommands
  #owner!: DriverOwner
  // Up to where it was read. Taken once, and kept over empty reads: `$` would pass over what comes between two.
  #position = ''
  #trimsAt = 0
  #isReading = false

  constructor(client: RedisClient, settings: StreamSettings) {
    this.#client = client
    this.#settings = { ...settings, key: prefixOf(client) + settings.key }
  }

  async open(owner: DriverOwner, recent: number): Promise<string> {
    this.#owner = owner
    this.#connections = new ConnectionPair(this.#client, this.#settings.publishTimeout, {
      // A read goes on while only the other connection is lost.
      onReady: () => this.#connections.isUp && this.#isReading && owner._onState('ready'),
      onLost: () => owner._onState(this.#position === '' ? 'connecting' : 'reconnecting'),
    })
    this.#commands = new StreamCommands(this.#connections, this.#settings)
    while (this.#position === '') await this.#tryToBegin(recent)
    owner._onState('ready')
    void this.#follow()
    return this.#position
  }

  append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    return this.#commands.append(channel, record, idempotencyKey)
  }

  /** Those who are replayed stay over an outage, like those who are live. */
  async range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    for (;;) {
      await this.#connections.whenWritable()
      if (this.#connections.isClosed) throw closedError()
      try {
        // With the place itself, which tells whether all that follows it is there.
        const [first, ...rest] = await this.#commands.rangeFrom(after, limit + 1)
        return first?.id === after ? rest : 'gap'
      } catch (error) {
        if (isPermanent(error as Error)) throw commandError(error as Error)
        await pause(RETRY_DELAY)
      }
    }
  }

  async close(): Promise<void> {
    this.#connections?.close()
  }

  /** A server that starts, or that takes nothing yet, is tried again. */
  async #tryToBegin(recent: number): Promise<void> {
    await this.#connections.whenReady()
    let misfit: SseError | undefined
    try {
      misfit = await this.#commands.typeMismatch()
      if (!misfit) await this.#begin(recent)
    } catch (error) {
      if (isPermanent(error as Error)) throw unusableError(error as Error)
      await pause(RETRY_DELAY)
    }
    if (misfit) throw misfit
  }

  /** Tells the newest entries, and goes on after them. */
  async #begin(recent: number): Promise<void> {
    const newest = await this.#commands.newest(recent)
    this.#position = newest[0]?.id ?? (await this.#commands.appendNoop())
    this.#owner._onEntries(newest.reverse())
  }

  async #follow(): Promise<void> {
    let isChecked = true
    while (!this.#connections.isClosed) {
      try {
        if (!isChecked) await this.#check()
        if (this.#connections.isUp) this.#owner._onState('ready')
        await this.#trim()
        isChecked = await this.#read()
      } catch {
        isChecked = false
        await this.#reconnect()
      }
    }
  }

  /** Tells what comes next. Resolves with whether anything came. */
  async #read(): Promise<boolean> {
    this.#isReading = true
    const entries = await this.#commands.next(this.#position, PAGE, BLOCK_TIME).finally(() => {
      this.#isReading = false
    })
    const isOvertaken = await this.#isOvertaken(entries.length)
    const [first] = entries
    this.#position = entries.at(-1)?.id ?? this.#position
    // The first one takes the part of the place that is gone: what follows it is whole.
    if (first && isOvertaken) this.#owner._onLoss(first.id)
    this.#owner._onEntries(isOvertaken ? entries.slice(1) : entries)
    return entries.length > 0
  }

  /** Whether entries were trimmed before they were read. Then so many have come meanwhile that the read is full. */
  async #isOvertaken(read: number): Promise<boolean> {
    return read >= Math.min(PAGE, this.#settings.maxEvents) && !(await this.#commands.has(this.#position))
  }

  /** Whether all that followed the place is still there: the stream may have been trimmed, flushed or replaced. */
  async #check(): Promise<void> {
    const newest = await this.#commands.lastId()
    if (newest === this.#position) return
    if (newest && compareEntryIds(newest, this.#position) > 0 && (await this.#commands.has(this.#position)))
      return
    this.#position = newest ?? (await this.#commands.appendNoop())
    this.#owner._onLoss(this.#position)
  }

  /** Lets go of what is too old. A write does not: it trims by number. */
  async #trim(): Promise<void> {
    const { maxAge } = this.#settings
    if (maxAge === 0 || Date.now() < this.#trimsAt) return
    this.#trimsAt = Date.now() + Math.min(maxAge, TRIM_EVERY)
    const oldest = `${Date.now() - maxAge}-0`
    // The place stays: without it, nobody could tell after an outage that nothing was lost.
    await this.#commands.trim(compareEntryIds(oldest, this.#position) < 0 ? oldest : this.#position)
  }

  async #reconnect(): Promise<void> {
    if (this.#connections.isClosed) return
    this.#owner._onState('reconnecting')
    await pause(RETRY_DELAY)
    await this.#connections.whenUp()
  }
}
