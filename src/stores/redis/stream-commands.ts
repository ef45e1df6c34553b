import { SseError } from '../../errors.ts'
import { NOOP_RECORD, type RecentLimits, type StoredEntry } from '../broker/driver.ts'
import type { ConnectionPair } from './connection-pair.ts'
import type { EntryReads } from './entry-reads.ts'
import { MissingStreamError } from './errors.ts'
import { guardOf } from './guard.ts'
import { CHANNEL, entriesOfOneStream, RECORD, toText } from './replies.ts'
import type { Ask } from './stream-reads.ts'

export interface StreamSettings {
  readonly key: string
  readonly maxEvents: number
  readonly maxAge: number
  readonly publishTimeout: number
  readonly idempotencyWindow: number
}

// The limits of one request for the newest entries.
const PAGE = { entries: 1_000, bytes: 1024 * 1024 }

const NOOP = ['*', CHANNEL, '', RECORD, NOOP_RECORD]

// Sets the guard and appends the entry in one step, so that a concurrent retry cannot append it too.
const APPEND_ONCE = `
local known = redis.call('GET', KEYS[2])
if known then return known end
if redis.call('TYPE', KEYS[1]).ok == 'none' then redis.call('XADD', KEYS[1], '${NOOP.join("', '")}') end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', '${CHANNEL}', ARGV[2], '${RECORD}', ARGV[3])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id`

/** The commands on the key of a log. */
export class StreamCommands {
  readonly #connections: ConnectionPair
  readonly #reads: EntryReads
  readonly #settings: StreamSettings
  readonly #key: string
  readonly #ask: Ask = (...command) => this.#connections.ask(...command)
  // Sends a command to the server of the blocking reads.
  readonly #askReader: Ask = (...command) => this.#connections.askReader(...command)
  // Creates a stream that was deleted. All appends that have failed share it.
  #creation: Promise<unknown> | undefined

  constructor(connections: ConnectionPair, reads: EntryReads, settings: StreamSettings) {
    this.#connections = connections
    this.#reads = reads
    this.#settings = settings
    this.#key = settings.key
  }

  /** Resolves with an error if the key holds another type than a stream. */
  async typeMismatch(): Promise<SseError | undefined> {
    const type = toText(await this.#connections.ask('TYPE', this.#key))
    if (type === 'none' || type === 'stream') return undefined
    const message = `The key ${JSON.stringify(this.#key)} holds a ${type}, not a stream.`
    return new SseError('ERR_SSE_STORE', message)
  }

  /**
   * Appends an entry. Resolves with its id. A stream that was deleted first gets a no-op record, so that each process
   * determines whether it has lost entries.
   */
  async append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const { maxEvents, publishTimeout, idempotencyWindow } = this.#settings
    const max = String(maxEvents)
    const deadline = performance.now() + publishTimeout
    if (idempotencyKey === undefined) {
      const add = ['XADD', this.#key, 'NOMKSTREAM', 'MAXLEN', '~', max, '*', CHANNEL, channel, RECORD, record]
      return this.#connections.send(deadline, false, () => this.#addToPresent(add))
    }
    const keys = ['2', this.#key, guardOf(this.#key, channel, idempotencyKey)]
    const once = ['EVAL', APPEND_ONCE, ...keys, max, channel, record, String(idempotencyWindow)]
    return toText(await this.#connections.send(deadline, true, () => this.#ask(...once)))
  }

  /**
   * Appends a no-op record to an empty stream, so that every position a client can hold is the id of a stored entry.
   */
  async appendNoop(): Promise<string> {
    return toText(await this.#ask('XADD', this.#key, ...NOOP))
  }

  /** Returns the newest entries, newest first. Reads pages, so that a reply is bounded. */
  async newest({ entries, bytes }: RecentLimits): Promise<StoredEntry[]> {
    const found: StoredEntry[] = []
    for (let from = '+', left = bytes; left > 0 && found.length < entries; ) {
      const limits = {
        entries: Math.min(PAGE.entries, entries - found.length),
        bytes: Math.min(PAGE.bytes, left),
      }
      const page = await this.#reads.by((reads) => reads.newest(this.#ask, from, limits))
      const [oldest] = page.slice(-1)
      if (!oldest) break
      found.push(...page)
      // The next entry exceeds the remaining bytes.
      if (limits.bytes === left && page.length < limits.entries) break
      left -= page.reduce((sum, { record }) => sum + Buffer.byteLength(record), 0)
      from = `(${oldest.id}`
    }
    return found
  }

  /**
   * Whether a position is still stored at the server of the blocking reads. Redis trims from the oldest entry on, so
   * all entries after it are stored too.
   */
  async has(position: string): Promise<boolean> {
    return (await this.#reads.by((reads) => reads.find(this.#askReader, position))) === true
  }

  /** Waits up to `ms` for entries after a position. */
  async next(position: string, limit: number, ms: number): Promise<StoredEntry[]> {
    const how = ['COUNT', String(limit), 'BLOCK', String(ms)]
    return entriesOfOneStream(
      await this.#connections.askBlocking(ms, 'XREAD', ...how, 'STREAMS', this.#key, position),
    )
  }

  /**
   * Returns the newest id ever assigned at the server of the blocking reads, or undefined if the key does not exist.
   */
  async lastId(): Promise<string | undefined> {
    try {
      return await this.#reads.by((reads) => reads.lastId(this.#askReader))
    } catch (error) {
      if (/no such key/i.test((error as Error).message)) return undefined
      throw error
    }
  }

  // Rejects if the stream was deleted. The caller retries the command in order.
  async #addToPresent(add: readonly string[]): Promise<string> {
    const id = toText(await this.#ask(...add))
    if (id !== '') return id
    this.#creation ??= this.appendNoop().finally(() => {
      this.#creation = undefined
    })
    await this.#creation
    throw new MissingStreamError()
  }

  /** Returns the time of the server in ms since 1970. */
  async time(): Promise<number> {
    const [seconds, micros] = (await this.#connections.ask('TIME')) as unknown[]
    return Number(toText(seconds)) * 1_000 + Math.floor(Number(toText(micros)) / 1_000)
  }

  /** Removes the entries before a position. */
  async trim(position: string): Promise<void> {
    await this.#connections.ask('XTRIM', this.#key, 'MINID', position)
  }
}
