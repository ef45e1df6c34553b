import { type Check, checkOptions } from '../../check-options.ts'
import { BrokerStore } from '../broker/broker-store.ts'
import { BROKER_CHECKS, BROKER_DEFAULTS, type BrokerStoreOptions, checkRetryTime } from '../broker/options.ts'
import type { BrokerEventStore } from '../event-store.ts'
import { checkClient, isCluster, isName, prefixOf } from './client.ts'
import type { RedisClient } from './connection.ts'
import { checkClusterKey } from './guard.ts'
import { StreamsDriver } from './streams-driver.ts'

/** Times are in ms. Redis applies `maxEvents` and `maxAge` approximately, so that it may keep slightly more. */
export interface RedisStoreOptions extends BrokerStoreOptions {
  /** The key of the stream. Each hub needs its own, which is the same in all processes. Default `spillway`. */
  key?: string | undefined
  /** How long an idempotency key counts. Default 600 000. */
  idempotencyWindow?: number | undefined
  /** How long a publish waits for Redis. At most `idempotencyWindow`. Default 5 000. */
  publishTimeout?: number | undefined
}

const DEFAULTS = { ...BROKER_DEFAULTS, key: 'spillway', maxAge: 0, idempotencyWindow: 600_000 }

const CHECKS: Record<keyof RedisStoreOptions, Check> = { ...BROKER_CHECKS, key: isName }

/**
 * Returns a store in a stream of Redis 6.2 or later, or of Valkey, for many processes with one hub each. `client` is
 * one of the packages `redis` or `ioredis`, for a single server, a cluster, or a master that sentinels name. The store
 * opens up to three connections with its settings and does not use `client` itself.
 *
 * Throws `SseError` `ERR_SSE_OPTION`. Permanent errors, for example wrong credentials, reject the first publish.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): BrokerEventStore {
  checkClient(client)
  const settings = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
  checkRetryTime(settings)
  if (isCluster(client)) checkClusterKey(prefixOf(client) + settings.key)
  return new BrokerStore(new StreamsDriver(client, settings), settings)
}
