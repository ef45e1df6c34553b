import { SseError } from '../../errors.ts'
import { NOOP_RECORD, type StoredEntry } from '../broker/driver.ts'
import type { ConnectionPair } from './connection-pair.ts'
import { guardOf } from './guard.ts'
import { CHANNEL, entriesOfOneStream, RECORD, toEntries, toRecord, toText } from './replies.ts'

export interface StreamSettings {
  readonly key: string
  readonly maxEvents: number
  readonly maxAge: number
  readonly publishTimeout: number
  readonly idempotencyWindow: number
  readonly recentBytes: number
}

// How many of the newest entries one request reads.
const PAGE = 500

// Sets the guard and appends the entry in one step, so that a concurrent retry cannot append it too.
const APPEND_ONCE = `
local known = redis.call('GET', KEYS[2])
if known then return known end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', '${CHANNEL}', ARGV[2], '${RECORD}', ARGV[3])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id`

/** The commands on the key of a log. */
export class StreamCommands {
  readonly #connections: ConnectionPair
  readonly #settings: StreamSettings
  readonly #key: string

  constructor(connections: ConnectionPair, settings: StreamSettings) {
    this.#connections = connections
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

  /** Resolves with the id of the entry. */
  async append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const { maxEvents, publishTimeout, idempotencyWindow } = this.#settings
    const max = String(maxEvents)
    const deadline = Date.now() + publishTimeout
    const add = ['XADD', this.#key, 'MAXLEN', '~', max, '*', CHANNEL, channel, RECORD, record]
    if (idempotencyKey === undefined) return toText(await this.#connections.send(deadline, false, ...add))
    const keys = ['2', this.#key, guardOf(this.#key, channel, idempotencyKey)]
    const once = ['EVAL', APPEND_ONCE, ...keys, max, channel, record, String(idempotencyWindow)]
    return toText(await this.#connections.send(deadline, true, ...once))
  }

  /** Appends a no-op record to an empty stream, so that every position a client can hold is the id of a stored entry. */
  async appendNoop(): Promise<string> {
    return toText(await this.#connections.ask('XADD', this.#key, '*', CHANNEL, '', RECORD, NOOP_RECORD))
  }

  /** Returns the newest entries, newest first, up to a number or `recentBytes`. Reads pages, because sizes are unknown. */
  async newest(limit: number): Promise<StoredEntry[]> {
    const found: StoredEntry[] = []
    for (let end = '+', left = this.#settings.recentBytes; left > 0 && found.length < limit; ) {
      const count = String(Math.min(PAGE, limit - found.length))
      const page = toEntries(await this.#connections.ask('XREVRANGE', this.#key, end, '-', 'COUNT', count))
      const [oldest] = page.slice(-1)
      if (!oldest) break
      found.push(...page)
      left -= page.reduce((sum, { record }) => sum + record.length, 0)
      end = `(${oldest.id}`
    }
    return found
  }

  /** Returns the entries from a position on, including the entry at the position if it is still stored. */
  async rangeFrom(position: string, limit: number): Promise<StoredEntry[]> {
    return toEntries(await this.#connections.ask(...range(this.#key, position, limit)))
  }

  /**
   * Whether a position is still stored at the server of the blocking reads. Redis trims from the oldest entry on, so all
   * entries after it are stored too.
   */
  async has(position: string): Promise<boolean> {
    const [first] = toEntries(await this.#connections.askReader(...range(this.#key, position, 1)))
    return first?.id === position
  }

  /** Waits up to `ms` for entries after a position. */
  async next(position: string, limit: number, ms: number): Promise<StoredEntry[]> {
    const how = ['COUNT', String(limit), 'BLOCK', String(ms)]
    return entriesOfOneStream(
      await this.#connections.askBlocking(ms, 'XREAD', ...how, 'STREAMS', this.#key, position),
    )
  }

  /** Returns the newest id ever assigned at the server of the blocking reads. Undefined: the key does not exist. */
  async lastId(): Promise<string | undefined> {
    try {
      const info = toRecord(await this.#connections.askReader('XINFO', 'STREAM', this.#key))
      return toText(info['last-generated-id'])
    } catch (error) {
      if (/no such key/i.test((error as Error).message)) return undefined
      throw error
    }
  }

  /** Removes the entries before a position. */
  async trim(position: string): Promise<void> {
    await this.#connections.ask('XTRIM', this.#key, 'MINID', position)
  }
}

function range(key: string, position: string, limit: number): string[] {
  return ['XRANGE', key, position, '+', 'COUNT', String(limit)]
}
