import { setTimeout as pause } from 'node:timers/promises'
import { logSkipChannel, logStateChannel } from '../../diagnostics.ts'
import { SseError } from '../../errors.ts'
import type { SseEvent } from '../../event/event.ts'
import { within } from '../broker/deadline.ts'
import { decodeRecord, type EventRecord, encodeRecord, toEvent } from '../broker/record.ts'
import type { AppendOptions, EventLog, LogFollower, LogState, Page } from '../event-store.ts'
import type { RedisClient } from './connection.ts'
import { Link } from './connection-pair.ts'
import { gone, isFinal } from './errors.ts'

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

// How often it is looked whether the connection that listens is alive, in ms: it may hear nothing for long.
const PROBE_EVERY = 5_000
// What lies between two attempts to listen, in ms.
const PAUSE = 1_000

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
  // Of what was published here and has not come back yet.
  readonly #awaited = new Map<string, Echo>()
  #window: EventLog
  #follower: LogFollower | undefined
  #link: Link | undefined
  #hearing: EventRecord | undefined
  #isListening = false
  #hasListened = false
  #probes: ReturnType<typeof setInterval> | undefined

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
    this.#link = new Link(this.#client, this.#settings.publishTimeout, {
      onReady: (which) => (which === 'reader' ? void this.#listen() : this.#settle()),
      onLost: (which) => this.#lost(which),
    })
    this.ready = this.#begin(this.#link)
    this.ready.catch(() => {})
    this.#probes = setInterval(() => this.#isListening && this.#link?.probe(), PROBE_EVERY)
    this.#probes.unref?.()
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
    clearInterval(this.#probes)
    this.#link?.close()
    for (const echo of this.#awaited.values()) echo.resolve(Promise.reject(gone()))
    await this.#window.close()
  }

  async #begin(link: Link): Promise<void> {
    await link.begun(() => this.state === 'ready')
    this.ready = undefined
  }

  async #listen(): Promise<void> {
    const link = this.#link as Link
    try {
      await link.listen(this.#settings.channel, this.#hear)
    } catch (error) {
      await this.#listenLater(error as Error)
      return
    }
    if (!link.isReadable || this.#isListening) return
    if (this.#hasListened) this.#beginAnew()
    this.#isListening = true
    this.#hasListened = true
    this.#settle()
  }

  async #listenLater(error: Error): Promise<void> {
    const link = this.#link as Link
    link.fail(error)
    // Who may not listen is told at the first use.
    if (this.ready && isFinal(error)) return
    await pause(PAUSE)
    // What was lost meanwhile begins again by itself.
    if (link.isReadable && !this.#isListening) await this.#listen()
  }

  /** Without the connection that publishes, nothing is lost to who listens. */
  #settle(): void {
    if (this.#isListening && this.#link?.isUp) this.#become('ready')
    this.#link?.notify()
  }

  // What was published while nobody listened is lost: no place of before means anything now.
  #beginAnew(): void {
    void this.#window.close()
    this.#window = this.#openWindow()
    this.#window.open(this.#ofWindow())
    this.#follower?.onLoss()
  }

  #lost(which: 'reader' | 'writer'): void {
    if (which === 'reader') this.#isListening = false
    if (this.state === 'ready') this.#become('reconnecting')
  }

  #become(state: LogState): void {
    if (state === this.state) return
    this.state = state
    if (logStateChannel.hasSubscribers) logStateChannel.publish({ log: this, state })
  }

  async #publish(message: Message): Promise<string> {
    const link = this.#link as Link
    const deadline = Date.now() + this.#settings.publishTimeout
    if (this.ready) await within(deadline, this.ready)
    const back = this.#awaited.get(message.token) ?? new Echo()
    this.#awaited.set(message.token, back)
    try {
      const text = JSON.stringify(message)
      await link.send(deadline, true, 'PUBLISH', this.#settings.channel, text)
      return await within(deadline, back.id)
    } finally {
      this.#awaited.delete(message.token)
    }
  }

  readonly #hear = (text: string): void => {
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

  constructor() {
    // Who publishes may not wait for it yet.
    this.id.catch(() => {})
  }
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
