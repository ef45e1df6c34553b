import { between, type Check, checkOptions, MAX_TIME, withDefaults } from '../../check-options.ts'
import { type BrokerSettings, BrokerStore } from '../broker/broker-store.ts'
import type { EventStore } from '../event-store.ts'
import { MemoryStore } from '../memory/memory-store.ts'
import { checkClient } from './client.ts'
import type { RedisClient } from './connection.ts'
import { PubSubStore } from './pubsub-store.ts'
import type { StreamSettings } from './stream-commands.ts'
import { StreamsDriver } from './streams-driver.ts'

/** Times are milliseconds. */
export interface RedisStoreOptions {
  /** The key of the stream: one for each hub, the same in all processes. Default `spillway`. */
  key?: string | undefined
  /** How many entries Redis keeps, about. Default 100 000. */
  maxEvents?: number | undefined
  /** How long Redis keeps an entry, about. Default: as long as `maxEntries` lets it. */
  maxAge?: number | undefined
  /** How many of the newest entries this process keeps too, to replay them without asking Redis. Default 10 000. */
  recentEvents?: number | undefined
  /** The same in bytes on the wire. Default 16 MiB. */
  recentBytes?: number | undefined
  /** How long a publish waits for Redis. Default 5 000. */
  publishTimeout?: number | undefined
  /** How long an idempotency key counts. Default 600 000, ten minutes. */
  idempotencyWindow?: number | undefined
}

/** Times are milliseconds. */
export interface RedisPubSubStoreOptions {
  /** The channel of Redis: one for each hub, the same in all processes. Default `spillway`. */
  redisChannel?: string | undefined
  /** How many of the newest events this process keeps, for clients who come back to it. Default 10 000. */
  recentEvents?: number | undefined
  /** The same in bytes on the wire. Default 16 MiB. */
  recentBytes?: number | undefined
  /** How long a publish waits for Redis. Default 5 000. */
  publishTimeout?: number | undefined
}

const MAX = Number.MAX_SAFE_INTEGER
const DEFAULTS: StreamSettings & BrokerSettings = {
  key: 'spillway',
  maxEvents: 100_000,
  maxAge: 0,
  recentEvents: 10_000,
  recentBytes: 16 * 1024 * 1024,
  publishTimeout: 5_000,
  idempotencyWindow: 600_000,
}

const isKey: Check = (key) => (typeof key === 'string' && key !== '' ? undefined : 'a text that is not empty')

const CHECKS: Record<keyof RedisStoreOptions, Check> = {
  key: isKey,
  maxEvents: between(1, MAX),
  maxAge: between(1_000, MAX),
  recentEvents: between(1, MAX),
  recentBytes: between(1, MAX),
  publishTimeout: between(1, MAX_TIME),
  idempotencyWindow: between(1_000, MAX),
}

/**
 * A log in a stream of Redis 6.2 or later, or of Valkey, for many processes with one hub each. `client` is one of the
 * packages `redis` or `ioredis`: two connections are opened with its settings, and it is left as it is.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. What cannot work, wrong credentials say, is said at the first use.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): EventStore {
  checkClient(client)
  checkOptions(options, CHECKS)
  const settings = withDefaults(options, DEFAULTS)
  return new BrokerStore(new StreamsDriver(client, settings), settings)
}

const PUBSUB_DEFAULTS = {
  redisChannel: 'spillway',
  recentEvents: 10_000,
  recentBytes: 16 * 1024 * 1024,
  publishTimeout: 5_000,
}

const { recentEvents, recentBytes, publishTimeout } = CHECKS
const PUBSUB_CHECKS: Record<keyof RedisPubSubStoreOptions, Check> = {
  redisChannel: isKey,
  recentEvents,
  recentBytes,
  publishTimeout,
}

/**
 * Fan-out over many processes by Redis Pub/Sub, **without history**: Redis keeps nothing. A client that comes back to the
 * process it left gets what that one saw meanwhile; one that comes to another process, or after the connection to Redis
 * was lost, is told of a gap. Use `redisStore` where that is not enough.
 *
 * Throws `SseError` `ERR_SSE_OPTION`.
 */
export function redisPubSubStore(client: RedisClient, options: RedisPubSubStoreOptions = {}): EventStore {
  checkClient(client)
  checkOptions(options, PUBSUB_CHECKS)
  const settings = withDefaults(options, PUBSUB_DEFAULTS)
  const limits = { maxEvents: settings.recentEvents, maxBytes: settings.recentBytes }
  return new PubSubStore(client, settings, () => new MemoryStore(limits))
}
