import { setTimeout as pause } from 'node:timers/promises'
import type { SseError } from '../../errors.ts'
import type { Engine, EngineOwner, StoredEntry } from '../broker/driver.ts'
import { prefixOf } from './client.ts'
import type { RedisClient } from './connection.ts'
import { Link } from './connection-pair.ts'
import { compareIds, isId } from './entry-id.ts'
import { failed, gone, isFinal, unusable } from './errors.ts'
import { RedisStream, type StreamSettings } from './stream-commands.ts'

// How long a read waits for an entry, in ms. After it, the place is looked after.
const BLOCK = 5_000
const PAGE = 1_000
// What lies between two attempts, in ms.
const PAUSE = 50
// How often entries that are too old are looked for, in ms.
const TRIM_EVERY = 60_000

/** A log in a stream of Redis: one key, one blocking read, and one connection for everything else. */
export class RedisStreams implements Engine {
  readonly isId = isId
  readonly compare = compareIds
  readonly #client: RedisClient
  readonly #settings: StreamSettings
  #link!: Link
  #stream!: RedisStream
  #owner!: EngineOwner
  // Up to where it was read. Taken once, and kept over empty reads: `$` would pass over what comes between two.
  #last = ''
  #trimsAt = 0
  #isReading = false

  constructor(client: RedisClient, settings: StreamSettings) {
    this.#client = client
    this.#settings = { ...settings, key: prefixOf(client) + settings.key }
  }

  async open(owner: EngineOwner, recent: number): Promise<string> {
    this.#owner = owner
    this.#link = new Link(this.#client, this.#settings.publishTimeout, {
      // A read goes on while only the other connection is lost.
      onReady: () => this.#link.isUp && this.#isReading && owner._state('ready'),
      onLost: () => owner._state(this.#last === '' ? 'connecting' : 'reconnecting'),
    })
    this.#stream = new RedisStream(this.#link, this.#settings)
    while (this.#last === '') await this.#tryToBegin(recent)
    owner._state('ready')
    void this.#follow()
    return this.#last
  }

  append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    return this.#stream.append(channel, record, idempotencyKey)
  }

  /** Those who are replayed stay over an outage, like those who are live. */
  async range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    for (;;) {
      await this.#link.writable()
      if (this.#link.isClosed) throw gone()
      try {
        // With the place itself, which tells whether all that follows it is there.
        const [first, ...rest] = await this.#stream.from(after, limit + 1)
        return first?.id === after ? rest : 'gap'
      } catch (error) {
        if (isFinal(error as Error)) throw failed(error as Error)
        await pause(PAUSE)
      }
    }
  }

  async close(): Promise<void> {
    this.#link?.close()
  }

  /** A server that starts, or that takes nothing yet, is tried again. */
  async #tryToBegin(recent: number): Promise<void> {
    await this.#link.begun()
    let misfit: SseError | undefined
    try {
      misfit = await this.#stream.misfit()
      if (!misfit) await this.#begin(recent)
    } catch (error) {
      if (isFinal(error as Error)) throw unusable(error as Error)
      await pause(PAUSE)
    }
    if (misfit) throw misfit
  }

  /** Tells the newest entries, and goes on after them. */
  async #begin(recent: number): Promise<void> {
    const newest = await this.#stream.newest(recent)
    this.#last = newest[0]?.id ?? (await this.#stream.mark())
    this.#owner._entries(newest.reverse())
  }

  async #follow(): Promise<void> {
    let isChecked = true
    while (!this.#link.isClosed) {
      try {
        if (!isChecked) await this.#check()
        if (this.#link.isUp) this.#owner._state('ready')
        await this.#trim()
        isChecked = await this.#read()
      } catch {
        isChecked = false
        await this.#backOn()
      }
    }
  }

  /** Tells what comes next. Resolves with whether anything came. */
  async #read(): Promise<boolean> {
    this.#isReading = true
    const entries = await this.#stream.next(this.#last, PAGE, BLOCK).finally(() => {
      this.#isReading = false
    })
    const isOvertaken = await this.#isOvertaken(entries.length)
    const [first] = entries
    this.#last = entries.at(-1)?.id ?? this.#last
    // The first one takes the part of the place that is gone: what follows it is whole.
    if (first && isOvertaken) this.#owner._lost(first.id)
    this.#owner._entries(isOvertaken ? entries.slice(1) : entries)
    return entries.length > 0
  }

  /** Whether entries were trimmed before they were read. Then so many have come meanwhile that the read is full. */
  async #isOvertaken(read: number): Promise<boolean> {
    return read >= Math.min(PAGE, this.#settings.maxEntries) && !(await this.#stream.has(this.#last))
  }

  /** Whether all that followed the place is still there: the stream may have been trimmed, flushed or replaced. */
  async #check(): Promise<void> {
    const newest = await this.#stream.lastId()
    if (newest === this.#last) return
    if (newest && compareIds(newest, this.#last) > 0 && (await this.#stream.has(this.#last))) return
    this.#last = newest ?? (await this.#stream.mark())
    this.#owner._lost(this.#last)
  }

  /** Lets go of what is too old. A write does not: it trims by number. */
  async #trim(): Promise<void> {
    const { maxAge } = this.#settings
    if (maxAge === 0 || Date.now() < this.#trimsAt) return
    this.#trimsAt = Date.now() + Math.min(maxAge, TRIM_EVERY)
    const oldest = `${Date.now() - maxAge}-0`
    // The place stays: without it, nobody could tell after an outage that nothing was lost.
    await this.#stream.trim(compareIds(oldest, this.#last) < 0 ? oldest : this.#last)
  }

  async #backOn(): Promise<void> {
    if (this.#link.isClosed) return
    this.#owner._state('reconnecting')
    await pause(PAUSE)
    await this.#link.up()
  }
}
