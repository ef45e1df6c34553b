import { type Check, isString, isWellFormed } from '../../check-options.ts'
import { describe, SseError } from '../../errors.ts'
import type {
  ConnectionListener,
  IoRedisClient,
  NodeRedisClient,
  RedisClient,
  RedisConnection,
} from './connection.ts'
import { openIoRedis } from './ioredis.ts'
import { openNodeRedis } from './node-redis.ts'

/** Checks the name of a key or of a channel. */
export const isName: Check = (name) =>
  name === '' || isString(name) ? 'a non-empty string' : isWellFormed(name)

/** Throws `SseError` `ERR_SSE_OPTION` unless the client is one of the packages `redis` or `ioredis`. */
export function checkClient(client: RedisClient): void {
  const { call, sendCommand, duplicate } = Object(client) as Partial<NodeRedisClient & IoRedisClient>
  const sends = typeof call === 'function' || typeof sendCommand === 'function'
  if (sends && typeof duplicate === 'function') return
  const message = `Expected a client of the package redis or ioredis, not ${describe(client)}.`
  throw new SseError('ERR_SSE_OPTION', message)
}

/** Returns the prefix that the client puts before each key. */
export function prefixOf(client: RedisClient): string {
  const { options } = client as { options?: { keyPrefix?: string } }
  return options?.keyPrefix ?? ''
}

/** Opens a connection with the settings of the user's client, which is not used itself. */
export function openConnection(client: RedisClient, listener: ConnectionListener): RedisConnection {
  return 'call' in client ? openIoRedis(client, listener) : openNodeRedis(client, listener)
}
