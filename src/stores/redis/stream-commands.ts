import { SseError } from '../../errors.ts'
import { NOOP_RECORD, type StoredEntry } from '../broker/driver.ts'
import { scopedKey } from '../scoped-key.ts'
import type { ConnectionPair } from './connection-pair.ts'
import { CHANNEL, entriesOfOneStream, RECORD, toEntries, toRecord } from './replies.ts'

export interface StreamSettings {
  readonly key: string
  readonly maxEvents: number
  readonly maxAge: number
  readonly publishTimeout: number
  readonly idempotencyWindow: number
  readonly recentBytes: number
}

// So many of the newest entries are read at a time.
const PAGE = 500

// The guard and the entry in one step: a publisher that tries again cannot come in between.
const APPEND_ONCE = `
local known = redis.call('GET', KEYS[2])
if known then return known end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', '${CHANNEL}', ARGV[2], '${RECORD}', ARGV[3])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id`

/** The key that holds a log, and what it is asked. */
export class StreamCommands {
  readonly #connections: ConnectionPair
  readonly #settings: StreamSettings
  readonly #key: string

  constructor(link: ConnectionPair, settings: StreamSettings) {
    this.#connections = link
    this.#settings = settings
    this.#key = settings.key
  }

  /** Why the key cannot hold a log: it holds something else. */
  async typeMismatch(): Promise<SseError | undefined> {
    const type = await this.#connections.ask('TYPE', this.#key)
    if (type === 'none' || type === 'stream') return undefined
    return new SseError(
      'ERR_SSE_STORE',
      `The key ${JSON.stringify(this.#key)} holds a ${type}, and no stream.`,
    )
  }

  /** Resolves with the id. */
  async append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const { maxEvents, publishTimeout, idempotencyWindow } = this.#settings
    const max = String(maxEvents)
    const deadline = Date.now() + publishTimeout
    const add = ['XADD', this.#key, 'MAXLEN', '~', max, '*', CHANNEL, channel, RECORD, record]
    if (idempotencyKey === undefined) return String(await this.#connections.send(deadline, false, ...add))
    const keys = ['2', this.#key, guardOf(this.#key, channel, idempotencyKey)]
    const once = ['EVAL', APPEND_ONCE, ...keys, max, channel, record, String(idempotencyWindow)]
    return String(await this.#connections.send(deadline, true, ...once))
  }

  /** What a log begins with that is empty: every place that a client can have is one of an entry. */
  async appendNoop(): Promise<string> {
    return String(await this.#connections.ask('XADD', this.#key, '*', CHANNEL, '', RECORD, NOOP_RECORD))
  }

  /** Newest first: so many, or as many as a process keeps the bytes of. In pages: nobody knows how large they are. */
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

  /** What follows a place; with the place itself, while it is there. */
  async rangeFrom(position: string, limit: number): Promise<StoredEntry[]> {
    return toEntries(await this.#connections.ask('XRANGE', this.#key, position, '+', 'COUNT', String(limit)))
  }

  /** Entries go from the oldest on: when a place is there, all that follows it is. */
  async has(position: string): Promise<boolean> {
    const [first] = await this.rangeFrom(position, 1)
    return first?.id === position
  }

  /** Waits so many ms for what follows a place. */
  async next(position: string, limit: number, ms: number): Promise<StoredEntry[]> {
    const how = ['COUNT', String(limit), 'BLOCK', String(ms)]
    return entriesOfOneStream(
      await this.#connections.askBlocking(ms, 'XREAD', ...how, 'STREAMS', this.#key, position),
    )
  }

  /** The newest id that it ever gave. Undefined: there is no such key. */
  async lastId(): Promise<string | undefined> {
    try {
      return String(toRecord(await this.#connections.ask('XINFO', 'STREAM', this.#key))['last-generated-id'])
    } catch (error) {
      if (/no such key/i.test((error as Error).message)) return undefined
      throw error
    }
  }

  /** Lets go of what is before a place. */
  async trim(position: string): Promise<void> {
    await this.#connections.ask('XTRIM', this.#key, 'MINID', position)
  }
}

// In a cluster, the guard lies where its stream lies.
function guardOf(key: string, channel: string, idempotencyKey: string): string {
  const tagged = /\{[^}]+\}/.test(key) ? key : `{${key}}`
  return `${tagged}:idempotency:${scopedKey(channel, idempotencyKey)}`
}
