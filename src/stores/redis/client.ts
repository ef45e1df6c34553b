import { type Check, isString, isWellFormed } from '../../check-options.ts'
import { describe, SseError } from '../../errors.ts'
import { ClusterTopology } from './cluster-topology.ts'
import type {
  ConnectionListener,
  IoRedisClient,
  NodeRedisClient,
  RedisClient,
  RedisConnection,
} from './connection.ts'
import { openIoRedis } from './ioredis.ts'
import { findIoRedisNodes, type IoRedisCluster } from './ioredis-cluster.ts'
import { openNodeRedis } from './node-redis.ts'
import { findNodeRedisNodes, type NodeRedisCluster } from './node-redis-cluster.ts'
import { type NodeRedisSentinel, NodeRedisSentinelTopology } from './node-redis-sentinel.ts'
import { RoutedConnection } from './routed-connection.ts'
import type { Topology } from './topology.ts'

/** Checks the name of a key or of a channel. */
export const isName: Check = (name) =>
  name === '' || isString(name) ? 'a non-empty string' : isWellFormed(name)

/** Opens the connections of one store. */
export interface Connector {
  open(listener: ConnectionListener): RedisConnection
  /** Closes the topology that finds the servers. The connections are closed separately. */
  close(): void
}

/** Throws `SseError` `ERR_SSE_OPTION` unless a store can use the client. The message states the reason. */
export function checkClient(client: RedisClient): void {
  const reason = unusable(Object(client), client)
  if (reason !== undefined) throw new SseError('ERR_SSE_OPTION', reason)
}

/** Whether the client is one of a cluster. */
export function isCluster(client: RedisClient): client is IoRedisCluster | NodeRedisCluster {
  return isIoRedisCluster(client) || isNodeRedisCluster(client)
}

/** Returns the prefix that the client puts before each key. */
export function prefixOf(client: RedisClient): string {
  const { options, _keyPrefix } = client as { options?: { keyPrefix?: string }; _keyPrefix?: string }
  return options?.keyPrefix ?? _keyPrefix ?? ''
}

/**
 * Returns a connector to the server that has a key. Its connections have the settings of the user's client, which is
 * not used itself. `timeout` is the time in ms in which a server must accept a connection.
 */
export function connectorOf(client: RedisClient, key: string, timeout: number): Connector {
  if (isIoRedisCluster(client))
    return routed(new ClusterTopology(() => findIoRedisNodes(client)), key, timeout)
  if (isNodeRedisCluster(client))
    return routed(new ClusterTopology(() => findNodeRedisNodes(client)), key, timeout)
  if (isNodeRedisSentinel(client)) return routed(new NodeRedisSentinelTopology(client), key, timeout)
  const open = isIoRedis(client) ? openIoRedis.bind(undefined, client) : openNodeRedis.bind(undefined, client)
  return { open: (listener) => open(listener), close: () => {} }
}

function routed(topology: Topology, key: string, timeout: number): Connector {
  return {
    open: (listener) => new RoutedConnection(topology, key, timeout, listener),
    close: () => topology.close(),
  }
}

/** Returns the reason why a store cannot use a client, or undefined. `given` is the value that `client` was made of. */
function unusable(client: Partial<IoRedisClient & NodeRedisClient>, given: unknown): string | undefined {
  if ('tasksQueueLength' in client)
    return 'A store cannot use a createClientPool of the package redis; pass a createClient.'
  if ('nodeClient' in client && !('_options' in client))
    return 'A store cannot use a createCluster of version 4 of the package redis; use version 5 or later.'
  if ('getSentinelNode' in client && !('duplicate' in client))
    return 'A store cannot use a createSentinel of version 5 of the package redis; use version 6 or later.'
  const sends = typeof client.call === 'function' || typeof client.sendCommand === 'function'
  if (sends && typeof client.duplicate === 'function') return undefined
  // Not the text of a URL, because it may contain a password.
  const value = typeof given === 'string' ? 'a string' : describe(given)
  return `Expected a client of the package redis or ioredis, not ${value}.`
}

function isIoRedis(client: RedisClient): client is IoRedisClient {
  return 'call' in client
}

function isIoRedisCluster(client: RedisClient): client is IoRedisCluster {
  return isIoRedis(client) && 'isCluster' in client && client.isCluster === true
}

function isNodeRedisCluster(client: RedisClient): client is NodeRedisCluster {
  return 'nodeClient' in client
}

function isNodeRedisSentinel(client: RedisClient): client is NodeRedisSentinel {
  return 'getSentinelNode' in client
}
