import { setTimeout as pause } from 'node:timers/promises'
import { type Check, checkOptions, isCount } from '../../check-options.ts'
import { SseError } from '../../errors.ts'
import { ConnectedStore } from '../broker/connected-store.ts'
import { withDeadline } from '../broker/deadline.ts'
import { closedError } from '../broker/errors.ts'
import { BROKER_CHECKS, type BrokerStoreOptions, checkRetryTime } from '../broker/options.ts'
import { parseRecord } from '../broker/record.ts'
import type { EventStore, History, Page, StoreListener } from '../event-store.ts'
import type { Publication } from '../log-entry.ts'
import { MemoryStore } from '../memory/memory-store.ts'
import { scopedKey } from '../scoped-key.ts'
import { checkClient, isCluster, isName } from './client.ts'
import type { RedisClient } from './connection.ts'
import { ConnectionPair, type Role } from './connection-pair.ts'
import { isPermanent } from './errors.ts'

/** Times are in ms. */
export interface RedisPubSubStoreOptions extends Pick<BrokerStoreOptions, 'publishTimeout'> {
  /** The channel of Redis. Each hub needs its own, which is the same in all processes. Default `spillway`. */
  redisChannel?: string | undefined
  /** How many of the newest events this process keeps, for clients that reconnect to it. Default 10 000. */
  maxEvents?: number | undefined
  /** The approximate bytes of memory that these events occupy. Default 16 MiB. */
  maxBytes?: number | undefined
  /** How long an idempotency key counts. The keys of the last `maxEvents` events are remembered. Default 600 000. */
  idempotencyWindow?: number | undefined
}

const DEFAULTS = {
  redisChannel: 'spillway',
  maxEvents: 10_000,
  maxBytes: 16 * 1024 * 1024,
  idempotencyWindow: 600_000,
  publishTimeout: 5_000,
}

const { maxEvents, idempotencyWindow, publishTimeout } = BROKER_CHECKS
const CHECKS: Record<keyof RedisPubSubStoreOptions, Check> = {
  redisChannel: isName,
  maxEvents,
  maxBytes: isCount,
  idempotencyWindow,
  publishTimeout,
}

/**
 * Returns a store that delivers events to many processes by Redis Pub/Sub, **without history**, because Redis keeps
 * nothing. A client that reconnects to the same process receives the events that the process has received meanwhile. A
 * client that reconnects to another process, or after the connection to Redis was lost, receives a gap. Use
 * `redisStore` to avoid that.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. Permanent errors, for example wrong credentials, reject the first publish.
 */
export function redisPubSubStore(client: RedisClient, options: RedisPubSubStoreOptions = {}): EventStore {
  checkClient(client)
  if (isCluster(client)) throw new SseError('ERR_SSE_OPTION', NO_CLUSTER)
  const settings = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
  checkRetryTime(settings)
  return new PubSubStore(client, settings)
}

const NO_CLUSTER =
  'redisPubSubStore cannot use a cluster, because its servers may lose messages between them without an error; use redisStore.'

/** A publication whose idempotency key is the publisher's or random, so that a message sent twice counts once. */
type Message = Publication & { readonly idempotencyKey: string }

// How often the subscribed connection is probed, in ms. A half-open one would receive nothing without an error.
const PROBE_INTERVAL = 5_000
// The delay before a failed subscription is retried, in ms.
const RETRY_DELAY = 1_000

/** Keeps the received events in a memory store, whose positions are valid in this process only. */
class PubSubStore extends ConnectedStore implements EventStore {
  readonly #client: RedisClient
  readonly #settings: typeof DEFAULTS
  // The messages of this process that Redis has not delivered yet.
  readonly #pending = new Map<string, PendingPublish>()
  #received: MemoryStore
  #connections!: ConnectionPair
  #isSubscribed = false
  #hasSubscribed = false
  // Messages that were received before the response to a later subscription. A gap is reported first.
  #early: string[] = []
  #probes: ReturnType<typeof setInterval> | undefined

  constructor(client: RedisClient, settings: typeof DEFAULTS) {
    super()
    this.#client = client
    this.#settings = settings
    this.#received = this.#newMemory()
  }

  get position(): string {
    return this.#received.position
  }

  protected override get failure(): unknown {
    return this.#connections?.failure
  }

  override open(listener: StoreListener): void {
    super.open(listener)
    this.#received.open(listener)
    const { redisChannel, publishTimeout } = this.#settings
    this.#connections = new ConnectionPair(this.#client, redisChannel, publishTimeout, {
      onReady: (role) => (role === 'reader' ? void this.#subscribe() : this.#updateState()),
      onLost: (role) => this.#onLost(role),
    })
    this.start(this.#begin())
    this.#probes = setInterval(() => this.#isSubscribed && this.#connections.probe(), PROBE_INTERVAL)
    this.#probes.unref?.()
  }

  append(publication: Publication): Promise<string> {
    const { idempotencyKey = crypto.randomUUID() } = publication
    const deadline = performance.now() + this.#settings.publishTimeout
    return this.onceReady(deadline, () => this.#publish({ ...publication, idempotencyKey }, deadline))
  }

  read(channels: readonly string[], after: string, limit: number): Page {
    return this.#received.read(channels, after, limit)
  }

  compare(a: string, b: string): number {
    return this.#received.compare(a, b)
  }

  // Returns an incomplete history unless this process has received enough events, because Redis keeps nothing.
  history(channels: readonly string[], last: number): History {
    const { after } = this.#received.history(channels, last)
    const page = last === Number.POSITIVE_INFINITY ? 'gap' : this.#received.read(channels, after, last)
    return { after, isIncomplete: page === 'gap' || page.entries.length < last }
  }

  staleness(position: string, channels: readonly string[]): number {
    return this.#received.staleness(position, channels)
  }

  async close(): Promise<void> {
    this.setState('closed')
    clearInterval(this.#probes)
    this.#connections?.close()
    for (const each of this.#pending.values()) each.reject(closedError())
    await this.#received.close()
  }

  async #begin(): Promise<void> {
    await this.#connections.whenReady(() => this.state === 'ready')
    this.ready = undefined
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#connections.subscribe(this.#settings.redisChannel, this.#onMessage)
    } catch (error) {
      await this.#retrySubscribe(error as Error)
      return
    }
    if (!this.#connections.isReadable || this.#isSubscribed) return
    if (this.#hasSubscribed) this.#reset()
    this.#isSubscribed = true
    this.#hasSubscribed = true
    for (const text of this.#early.splice(0)) this.#receive(text)
    this.#updateState()
  }

  async #retrySubscribe(error: Error): Promise<void> {
    this.#connections.fail(error)
    // A permanent error has rejected `ready`.
    if (this.ready && isPermanent(error)) return
    // Does not keep the process running after a close.
    await pause(RETRY_DELAY, undefined, { ref: false })
    // If the connection was lost meanwhile, `onReady` subscribes.
    if (this.#connections.isReadable && !this.#isSubscribed) await this.#subscribe()
  }

  // Sets the state to `ready` only if both connections are up, although subscribers lose nothing without the writer.
  #updateState(): void {
    if (this.#isSubscribed && this.#connections.isUp) this.setState('ready')
    this.#connections.notify()
  }

  // Replaces the memory, because messages published without the subscription are lost. With new positions, every
  // earlier position is a gap.
  #reset(): void {
    const listener = this.listener as StoreListener
    void this.#received.close()
    this.#received = this.#newMemory()
    this.#received.open(listener)
    listener.onLoss()
  }

  #newMemory(): MemoryStore {
    const { maxEvents, maxBytes, idempotencyWindow } = this.#settings
    return new MemoryStore({ maxEvents, maxBytes, idempotencyWindow })
  }

  #onLost(role: Role): void {
    if (role === 'reader') {
      this.#isSubscribed = false
      this.#early = []
    }
    if (this.state === 'ready') this.setState('reconnecting')
  }

  async #publish(message: Message, deadline: number): Promise<string> {
    const key = scopedKey(message.channel, message.idempotencyKey)
    const pending = this.#pending.get(key) ?? new PendingPublish()
    this.#pending.set(key, pending)
    pending.publishers += 1
    try {
      const text = JSON.stringify(message)
      const { redisChannel } = this.#settings
      await this.#connections.send(deadline, true, () => this.#connections.ask('PUBLISH', redisChannel, text))
      return await withDeadline(deadline, pending.id)
    } finally {
      pending.publishers -= 1
      if (pending.publishers === 0) this.#pending.delete(key)
    }
  }

  readonly #onMessage = (text: string): void => {
    if (this.#isSubscribed || !this.#hasSubscribed) this.#receive(text)
    else this.#early.push(text)
  }

  #receive(text: string): void {
    try {
      const message = parseMessage(text)
      const id = this.#received.append(message)
      this.#pending.get(scopedKey(message.channel, message.idempotencyKey))?.resolve(id)
    } catch (error) {
      this.reportSkip(undefined, undefined, error)
    }
  }
}

/** A published message whose id is assigned once Redis delivers it to this process. */
class PendingPublish {
  /** How many calls wait for the id, because several may publish the same idempotency key. */
  publishers = 0
  resolve!: (id: Promise<string>) => void
  reject!: (error: Error) => void
  readonly id = new Promise<string>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })

  constructor() {
    // The publisher may not await it yet.
    this.id.catch(() => {})
  }
}

/** Returns the message of a text. Throws `SseError` if no hub has sent it. */
function parseMessage(text: string): Message {
  const message = parseRecord(text)
  const { channel, idempotencyKey } = message
  if (typeof channel === 'string' && typeof idempotencyKey === 'string')
    return { ...message, channel, idempotencyKey }
  throw new SseError('ERR_SSE_EVENT', 'Not a record written by a hub.')
}
