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

/** Throws `SseError` `ERR_SSE_OPTION` for what is no client of the two packages. */
export function checkClient(client: RedisClient): void {
  const of = Object(client) as Partial<NodeRedisClient & IoRedisClient>
  const sends = typeof of.call === 'function' || typeof of.sendCommand === 'function'
  if (sends && typeof of.duplicate === 'function') return
  throw new SseError('ERR_SSE_OPTION', `Expected a client of redis or ioredis, not ${describe(client)}.`)
}

/** What the client puts before each key. */
export function prefixOf(client: RedisClient): string {
  const { options } = client as { options?: { keyPrefix?: string } }
  return options?.keyPrefix ?? ''
}

/** Opens a connection with the settings of the user's client, and leaves that one alone. */
export function openConnection(client: RedisClient, listener: ConnectionListener): RedisConnection {
  return 'call' in client ? openIoRedis(client, listener) : openNodeRedis(client, listener)
}
