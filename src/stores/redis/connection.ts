import { describe, SseError } from '../../errors.ts'
import { openIoRedis } from './ioredis.ts'
import { openNodeRedis } from './node-redis.ts'

/** A client of the `redis` package, from version 4 on. */
export interface NodeRedisClient {
  // What its own types demand is its own affair.
  duplicate(options?: never): unknown
  sendCommand(args: never): Promise<unknown>
  readonly isReady: boolean
}

/** A client of the `ioredis` package. */
export interface IoRedisClient {
  duplicate(options?: never): unknown
  call(command: never, ...args: never[]): Promise<unknown>
  readonly status: string
}

export type RedisClient = NodeRedisClient | IoRedisClient

/** A connection of our own, which comes back by itself. A command fails at once while it is lost. */
export interface RedisConnection {
  readonly isReady: boolean
  command(...args: string[]): Promise<unknown>
  /** Resolves when every message of a channel is heard from here on. May be called again after the connection was lost. */
  listen(channel: string, listener: (text: string) => void): Promise<void>
  /** Lets go of what does not answer any more, for a new connection. */
  restart(): void
  close(): void
}

export interface ConnectionListener {
  onReady(): void
  onLost(): void
  /** What no second try can mend, wrong credentials say. */
  onError(error: Error): void
}

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
