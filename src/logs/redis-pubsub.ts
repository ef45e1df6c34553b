import { logSkipChannel, logStateChannel } from '../diagnostics.ts'
import { SseError } from '../errors.ts'
import type { SseEvent } from '../event.ts'
import { decodeRecord, type EventRecord, encodeRecord, toEvent } from '../remote/record.ts'
import { attempt, isRefusal, unusable } from '../remote/redis/commands.ts'
import { openConnection, type RedisClient, type RedisConnection } from '../remote/redis/connection.ts'
import { within } from '../remote/within.ts'
import { Waiters } from '../waiters.ts'
import type { AppendOptions, EventLog, LogFollower, LogState, Page } from './event-log.ts'

export interface PubSubSettings {
  readonly channel: string
  readonly publishTimeout: number
}

interface Message {
  readonly channel: string
  readonly record: string
  /** Known once to each process: what is sent again is not told again. */
  readonly token: string
}

/** The window of a process over what it saw: a log of its own, with places of its own. */
export type OpenWindow = () => EventLog

/**
 * Fan-out by Redis Pub/Sub, without history: a process keeps what it saw itself. Who comes back to another process, or
 * after the connection was lost, is told of a gap.
 */
export class RedisPubSubLog implements EventLog {
  ready: Promise<void> | undefined
  state: LogState = 'connecting'
  readonly #client: RedisClient
  readonly #settings: PubSubSettings
  readonly #openWindow: OpenWindow
  readonly #changed = new Waiters()
  // Of what was published here and has not come back yet.
  readonly #awaited = new Map<string, Echo>()
  #window: EventLog
  #follower: LogFollower | undefined
  #writer: RedisConnection | undefined
  #reader: RedisConnection | undefined
  #hearing: EventRecord | undefined
  #failure: SseError | undefined

  constructor(client: RedisClient, settings: PubSubSettings, openWindow: OpenWindow) {
    this.#client = client
    this.#settings = settings
    this.#openWindow = openWindow
    this.#window = openWindow()
  }

  get head(): string {
    return this.#window.head
  }

  open(follower: LogFollower): void {
    if (this.#follower) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#follower = follower
    this.#window.open(this.#ofWindow())
    this.#writer = openConnection(this.#client, this.#listener())
    this.#reader = openConnection(this.#client, { ...this.#listener(), onReady: () => void this.#listen() })
    this.ready = this.#begin()
    this.ready.catch(() => {})
  }

  async append(channel: string, event: SseEvent, options: AppendOptions = {}): Promise<string> {
    const follower = this.#follower as LogFollower
    follower.entry('', channel, event, options)
    const { event: name, retry, key, data } = event
    const isText = typeof data === 'string'
    const { conflate, idempotencyKey } = options
    const record = encodeRecord({ event: name, data: follower.serialize(data), retry, key, conflate, isText })
    const token = idempotencyKey === undefined ? crypto.randomUUID() : `${channel}\n${idempotencyKey}`
    return this.#publish({ channel, record, token })
  }

  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    return this.#window.read(channels, after, limit)
  }

  async close(): Promise<void> {
    this.state = 'closed'
    this.#reader?.close()
    this.#writer?.close()
    this.#changed.notify()
    await this.#window.close()
  }

  async #begin(): Promise<void> {
    await this.#changed.until(
      () => this.state === 'ready' || this.state === 'closed' || this.#failure !== undefined,
    )
    if (this.#failure) throw this.#failure
    this.ready = undefined
  }

  #listener() {
    return {
      onReady: () => this.#changed.notify(),
      onLost: () => this.#lost(),
      onError: (error: Error) => {
        if (isRefusal(error) && this.state === 'connecting') this.#failure = unusable(error)
        this.#changed.notify()
      },
    }
  }

  async #listen(): Promise<void> {
    const reader = this.#reader as RedisConnection
    // What is lost again meanwhile begins again.
    await reader.listen(this.#settings.channel, (text) => this.#hear(text)).catch(() => this.#lost())
    if (!reader.isReady || this.state === 'closed') return
    if (this.state === 'reconnecting') this.#beginAnew()
    this.#become('ready')
    this.#changed.notify()
  }

  // What was published while nobody listened is lost: no place of before means anything now.
  #beginAnew(): void {
    void this.#window.close()
    this.#window = this.#openWindow()
    this.#window.open(this.#ofWindow())
    this.#follower?.onLoss()
  }

  #lost(): void {
    if (this.state === 'ready') this.#become('reconnecting')
    this.#changed.notify()
  }

  #become(state: LogState): void {
    if (state === this.state) return
    this.state = state
    if (logStateChannel.hasSubscribers) logStateChannel.publish({ log: this, state })
  }

  async #publish(message: Message): Promise<string> {
    const writer = this.#writer as RedisConnection
    const deadline = Date.now() + this.#settings.publishTimeout
    if (this.ready) await within(deadline, this.ready)
    const back = this.#awaited.get(message.token) ?? new Echo()
    this.#awaited.set(message.token, back)
    try {
      const text = JSON.stringify(message)
      const send = () => writer.command('PUBLISH', this.#settings.channel, text)
      await attempt(writer, this.#changed, { deadline, isRepeatable: true }, send)
      return await within(deadline, back.id)
    } finally {
      this.#awaited.delete(message.token)
    }
  }

  #hear(text: string): void {
    const message = parseMessage(text)
    const record = message && decodeRecord(message.record)
    if (!message || !record) {
      this.#skip(message?.channel, new Error('It is no event of a hub.'))
      return
    }
    const { event, data, retry, key, conflate } = record
    this.#hearing = record
    const options = { conflate, idempotencyKey: message.token }
    const id = this.#window.append(message.channel, { event, data, retry, key }, options)
    this.#awaited.get(message.token)?.resolve(id)
    id.catch((error) => this.#skip(message.channel, error))
  }

  #skip(channel: string | undefined, error: unknown): void {
    if (logSkipChannel.hasSubscribers) logSkipChannel.publish({ log: this, id: undefined, channel, error })
  }

  // The window is given the data as text; a filter sees what was published.
  #ofWindow(): LogFollower {
    const follower = this.#follower as LogFollower
    return {
      serialize: (data) => follower.serialize(data),
      onEntry: (entry) => follower.onEntry(entry),
      onLoss: () => follower.onLoss(),
      entry: (id, channel, event, options) => {
        const entry = follower.entry(id, channel, event, options)
        return this.#hearing ? { ...entry, event: toEvent(this.#hearing, id) } : entry
      },
    }
  }
}

/** The id that a message gets when it comes back. */
class Echo {
  resolve!: (id: Promise<string>) => void
  readonly id = new Promise<string>((resolve) => {
    this.resolve = resolve
  })
}

function parseMessage(text: string): Message | undefined {
  try {
    const { channel, record, token } = JSON.parse(text)
    return [channel, record, token].every((each) => typeof each === 'string')
      ? { channel, record, token }
      : undefined
  } catch {
    return undefined
  }
}
