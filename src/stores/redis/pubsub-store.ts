import { setTimeout as pause } from 'node:timers/promises'
import { storeSkipChannel, storeStateChannel } from '../../diagnostics.ts'
import { SseError } from '../../errors.ts'
import { withDeadline } from '../broker/deadline.ts'
import { parseRecord } from '../broker/record.ts'
import type { EventStore, Page, StoreListener, StoreState } from '../event-store.ts'
import type { Publication } from '../log-entry.ts'
import { scopedKey } from '../scoped-key.ts'
import type { RedisClient } from './connection.ts'
import { ConnectionPair } from './connection-pair.ts'
import { closedError, isPermanent } from './errors.ts'

export interface PubSubSettings {
  readonly redisChannel: string
  readonly publishTimeout: number
}

/** A publication with an idempotency key: the publisher's, or a random one, so that a repeated message counts once. */
type Message = Publication & { readonly idempotencyKey: string }

// How often it is looked whether the connection that listens is alive, in ms: it may hear nothing for long.
const PROBE_EVERY = 5_000
// What lies between two attempts to listen, in ms.
const PAUSE = 1_000

/** The window of a process over what it saw: a log of its own, with places of its own. */
export type OpenWindow = () => EventStore

/**
 * Fan-out by Redis Pub/Sub, without history: a process keeps what it saw itself. Who comes back to another process, or
 * after the connection was lost, is told of a gap.
 */
export class PubSubStore implements EventStore {
  ready: Promise<void> | undefined
  state: StoreState = 'connecting'
  readonly #client: RedisClient
  readonly #settings: PubSubSettings
  readonly #openWindow: OpenWindow
  // Of what was published here and has not come back yet.
  readonly #pending = new Map<string, PendingPublish>()
  #window: EventStore
  #listener: StoreListener | undefined
  #connections: ConnectionPair | undefined
  #isSubscribed = false
  #hasSubscribed = false
  #probes: ReturnType<typeof setInterval> | undefined

  constructor(client: RedisClient, settings: PubSubSettings, openWindow: OpenWindow) {
    this.#client = client
    this.#settings = settings
    this.#openWindow = openWindow
    this.#window = openWindow()
  }

  get position(): string {
    return this.#window.position
  }

  open(follower: StoreListener): void {
    if (this.#listener) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#listener = follower
    this.#window.open(follower)
    this.#connections = new ConnectionPair(this.#client, this.#settings.publishTimeout, {
      onReady: (which) => (which === 'reader' ? void this.#subscribe() : this.#updateState()),
      onLost: (which) => this.#onLost(which),
    })
    this.ready = this.#begin(this.#connections)
    this.ready.catch(() => {})
    this.#probes = setInterval(() => this.#isSubscribed && this.#connections?.probe(), PROBE_EVERY)
    this.#probes.unref?.()
  }

  async append(publication: Publication): Promise<string> {
    const { idempotencyKey = crypto.randomUUID() } = publication
    return this.#publish({ ...publication, idempotencyKey })
  }

  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    return this.#window.read(channels, after, limit)
  }

  async close(): Promise<void> {
    this.state = 'closed'
    clearInterval(this.#probes)
    this.#connections?.close()
    for (const echo of this.#pending.values()) echo.resolve(Promise.reject(closedError()))
    await this.#window.close()
  }

  async #begin(connections: ConnectionPair): Promise<void> {
    await connections.whenReady(() => this.state === 'ready')
    this.ready = undefined
  }

  async #subscribe(): Promise<void> {
    const connections = this.#connections as ConnectionPair
    try {
      await connections.subscribe(this.#settings.redisChannel, this.#onMessage)
    } catch (error) {
      await this.#subscribeLater(error as Error)
      return
    }
    if (!connections.isReadable || this.#isSubscribed) return
    if (this.#hasSubscribed) this.#reset()
    this.#isSubscribed = true
    this.#hasSubscribed = true
    this.#updateState()
  }

  async #subscribeLater(error: Error): Promise<void> {
    const connections = this.#connections as ConnectionPair
    connections.fail(error)
    // Who may not listen is told at the first use.
    if (this.ready && isPermanent(error)) return
    await pause(PAUSE)
    // What was lost meanwhile begins again by itself.
    if (connections.isReadable && !this.#isSubscribed) await this.#subscribe()
  }

  /** Without the connection that publishes, nothing is lost to who listens. */
  #updateState(): void {
    if (this.#isSubscribed && this.#connections?.isUp) this.#setState('ready')
    this.#connections?.notify()
  }

  // What was published while nobody listened is lost: no place of before means anything now.
  #reset(): void {
    void this.#window.close()
    this.#window = this.#openWindow()
    const listener = this.#listener as StoreListener
    this.#window.open(listener)
    listener.onLoss()
  }

  #onLost(which: 'reader' | 'writer'): void {
    if (which === 'reader') this.#isSubscribed = false
    if (this.state === 'ready') this.#setState('reconnecting')
  }

  #setState(state: StoreState): void {
    if (state === this.state) return
    this.state = state
    if (storeStateChannel.hasSubscribers) storeStateChannel.publish({ store: this, state })
  }

  async #publish(message: Message): Promise<string> {
    const connections = this.#connections as ConnectionPair
    const deadline = Date.now() + this.#settings.publishTimeout
    if (this.ready) await withDeadline(deadline, this.ready)
    const key = scopedKey(message.channel, message.idempotencyKey)
    const pending = this.#pending.get(key) ?? new PendingPublish()
    this.#pending.set(key, pending)
    try {
      await connections.send(deadline, true, 'PUBLISH', this.#settings.redisChannel, JSON.stringify(message))
      return await withDeadline(deadline, pending.id)
    } finally {
      this.#pending.delete(key)
    }
  }

  readonly #onMessage = (text: string): void => {
    try {
      const message = parseMessage(text)
      const key = scopedKey(message.channel, message.idempotencyKey)
      const id = this.#window.append(message)
      this.#pending.get(key)?.resolve(id)
    } catch (error) {
      this.#skip(error)
    }
  }

  #skip(error: unknown): void {
    if (storeSkipChannel.hasSubscribers)
      storeSkipChannel.publish({ store: this, id: undefined, channel: undefined, error })
  }
}

/** The id that a message gets when it comes back. */
class PendingPublish {
  resolve!: (id: Promise<string>) => void
  readonly id = new Promise<string>((resolve) => {
    this.resolve = resolve
  })

  constructor() {
    // Who publishes may not wait for it yet.
    this.id.catch(() => {})
  }
}

/** Throws `SseError` for a message that no hub sent. */
function parseMessage(text: string): Message {
  const message = parseRecord(text)
  const { channel, idempotencyKey } = message
  if (typeof channel === 'string' && typeof idempotencyKey === 'string')
    return { ...message, channel, idempotencyKey }
  throw new SseError('ERR_SSE_EVENT', 'Not a record written by a hub.')
}
