import { setTimeout as pause } from 'node:timers/promises'
import { SseError } from '../errors.ts'
import type { Engine, EngineOwner, StoredEntry } from '../remote/engine.ts'
import { attempt, isRefusal, unusable } from '../remote/redis/commands.ts'
import { openConnection, type RedisClient, type RedisConnection } from '../remote/redis/connection.ts'
import { compareIds, isId } from '../remote/redis/ids.ts'
import { CHANNEL, ofOneStream, RECORD, toEntries, toRecord } from '../remote/redis/replies.ts'
import { within } from '../remote/within.ts'
import { Waiters } from '../waiters.ts'

export interface StreamSettings {
  readonly key: string
  readonly maxEntries: number
  readonly maxAge: number
  readonly publishTimeout: number
  readonly idempotencyWindow: number
}

// How long a read waits for an entry, in ms. After it, the place is looked after.
const BLOCK = 5_000
const PAGE = 1_000
// How often entries that are too old are looked for, in ms.
const TRIM_EVERY = 60_000

// What a log begins with that is empty: every place that a client can have is one of an entry.
const BEGINNING = ['XADD', '*', CHANNEL, '', RECORD, '']

// The guard and the entry in one step: a publisher that tries again cannot come in between.
const APPEND_ONCE = `
local known = redis.call('GET', KEYS[2])
if known then return known end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', '${CHANNEL}', ARGV[2], '${RECORD}', ARGV[3])
redis.call('SET', KEYS[2], id, 'PX', ARGV[4])
return id`

/** A log in a stream of Redis: one key, one blocking read, and one connection for everything else. */
export class RedisStreams implements Engine {
  readonly isId = isId
  readonly compare = compareIds
  readonly #client: RedisClient
  readonly #settings: StreamSettings
  readonly #changed = new Waiters()
  #reader: RedisConnection | undefined
  #writer: RedisConnection | undefined
  #owner: EngineOwner | undefined
  // Up to where it was read. Taken once, and kept over empty reads: `$` would pass over what comes between two.
  #last = ''
  #trimsAt = 0
  #failure: Error | undefined
  #isClosed = false

  constructor(client: RedisClient, settings: StreamSettings) {
    this.#client = client
    this.#settings = settings
  }

  async open(owner: EngineOwner, recent: number): Promise<string> {
    this.#owner = owner
    this.#writer = openConnection(this.#client, this.#listener())
    this.#reader = openConnection(this.#client, this.#listener())
    await this.#changed.until(() => this.#isConnected || this.#isClosed || this.#failure !== undefined)
    if (this.#failure) throw unusable(this.#failure)
    await this.#checkType()
    await this.#begin(owner, recent)
    owner._state('ready')
    void this.#follow(owner)
    return this.#last
  }

  append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const { key, maxEntries, publishTimeout, idempotencyWindow } = this.#settings
    const writer = this.#writer as RedisConnection
    const plan = { deadline: Date.now() + publishTimeout, isRepeatable: idempotencyKey !== undefined }
    const max = String(maxEntries)
    return attempt(writer, this.#changed, plan, async () => {
      const add = ['XADD', key, 'MAXLEN', '~', max, '*', CHANNEL, channel, RECORD, record]
      if (idempotencyKey === undefined) return String(await writer.command(...add))
      const guard = guardOf(key, channel, idempotencyKey)
      const once = ['EVAL', APPEND_ONCE, '2', key, guard, max, channel, record, String(idempotencyWindow)]
      return String(await writer.command(...once))
    })
  }

  async range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    const writer = this.#writer as RedisConnection
    const plan = { deadline: Date.now() + this.#settings.publishTimeout, isRepeatable: true }
    const { key } = this.#settings
    // With the place itself: entries go from the oldest on, so when it is there, all that follows it is.
    const read = () => writer.command('XRANGE', key, after, '+', 'COUNT', String(limit + 1))
    const [first, ...rest] = toEntries(await attempt(writer, this.#changed, plan, read))
    return first?.id === after ? rest : 'gap'
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#reader?.close()
    this.#writer?.close()
    this.#changed.notify()
  }

  get #isConnected(): boolean {
    return this.#reader?.isReady === true && this.#writer?.isReady === true
  }

  #listener() {
    return {
      onReady: () => this.#changed.notify(),
      onLost: () => {
        if (!this.#isClosed) this.#owner?._state(this.#last === '' ? 'connecting' : 'reconnecting')
        this.#changed.notify()
      },
      onError: (error: Error) => {
        // Credentials do not get right by trying again.
        if (isRefusal(error) && this.#last === '') this.#failure = error
        this.#changed.notify()
      },
    }
  }

  #command(...args: string[]): Promise<unknown> {
    const deadline = Date.now() + this.#settings.publishTimeout
    return within(deadline, (this.#writer as RedisConnection).command(...args))
  }

  async #checkType(): Promise<void> {
    const { key } = this.#settings
    const type = await this.#command('TYPE', key).catch((error) => {
      throw unusable(error)
    })
    if (type === 'none' || type === 'stream') return
    throw new SseError('ERR_SSE_LOG', `The key ${JSON.stringify(key)} holds a ${type}, and no stream.`)
  }

  /** Tells the newest entries, and goes on after them. */
  async #begin(owner: EngineOwner, recent: number): Promise<void> {
    const { key } = this.#settings
    const newest = toEntries(await this.#command('XREVRANGE', key, '+', '-', 'COUNT', String(recent)))
    this.#last =
      newest[0]?.id ?? String(await this.#command(BEGINNING[0] as string, key, ...BEGINNING.slice(1)))
    owner._entries(newest.reverse())
    await this.#trim()
  }

  /** Lets go of what is too old. A write does not: it trims by number. */
  async #trim(): Promise<void> {
    const { key, maxAge } = this.#settings
    if (maxAge === 0 || Date.now() < this.#trimsAt) return
    this.#trimsAt = Date.now() + Math.min(maxAge, TRIM_EVERY)
    await this.#command('XTRIM', key, 'MINID', String(Date.now() - maxAge))
  }

  async #follow(owner: EngineOwner): Promise<void> {
    let isChecked = true
    while (!this.#isClosed) {
      try {
        if (!isChecked) await this.#check(owner)
        owner._state('ready')
        isChecked = await this.#read(owner)
        await this.#trim()
      } catch {
        isChecked = false
        await this.#backOn()
      }
    }
  }

  /** Tells what comes next. Resolves with whether anything came. */
  async #read(owner: EngineOwner): Promise<boolean> {
    const { key } = this.#settings
    const from = ['STREAMS', key, this.#last]
    const block = ['COUNT', String(PAGE), 'BLOCK', String(BLOCK)]
    const deadline = Date.now() + 2 * BLOCK
    const reader = this.#reader as RedisConnection
    const entries = ofOneStream(await within(deadline, reader.command('XREAD', ...block, ...from)))
    this.#last = entries.at(-1)?.id ?? this.#last
    owner._entries(entries)
    return entries.length > 0
  }

  /** Whether all that followed the place is still there: the stream may have been trimmed, flushed or replaced. */
  async #check(owner: EngineOwner): Promise<void> {
    const { key } = this.#settings
    const info = await this.#info()
    const newest = info && String(info['last-generated-id'])
    if (newest === this.#last) return
    if (newest && compareIds(newest, this.#last) > 0) {
      const [same] = toEntries(await this.#command('XRANGE', key, this.#last, this.#last))
      if (same) return
    }
    this.#last = newest ?? String(await this.#command(BEGINNING[0] as string, key, ...BEGINNING.slice(1)))
    owner._lost(this.#last)
  }

  /** Undefined: there is no such key. */
  async #info(): Promise<Record<string, unknown> | undefined> {
    try {
      return toRecord(await this.#command('XINFO', 'STREAM', this.#settings.key))
    } catch (error) {
      if (/no such key/i.test((error as Error).message)) return undefined
      throw error
    }
  }

  async #backOn(): Promise<void> {
    if (this.#isClosed) return
    this.#owner?._state('reconnecting')
    await pause(50)
    await this.#changed.until(() => this.#isConnected || this.#isClosed)
  }
}

// In a cluster, the guard lies where its stream lies.
function guardOf(key: string, channel: string, idempotencyKey: string): string {
  const tagged = /\{[^}]+\}/.test(key) ? key : `{${key}}`
  return `${tagged}:idempotency:${channel.length}:${channel}:${idempotencyKey}`
}
