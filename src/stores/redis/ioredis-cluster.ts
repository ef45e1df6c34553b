import type { ClusterNodes } from './cluster-topology.ts'
import type { Address, IoRedisClient } from './connection.ts'
import { openIoRedis } from './ioredis.ts'

type NatMap = Record<string, Address> | ((key: string) => Address | null)

/** A `Cluster` of ioredis. */
export interface IoRedisCluster extends IoRedisClient {
  readonly isCluster: true
  readonly options: { readonly keyPrefix?: string; readonly natMap?: NatMap | null }
}

interface OwnIoRedisCluster {
  connect(): Promise<void>
  on(event: string, listener: (error: Error) => void): unknown
  nodes(role: 'master' | 'slave'): Array<IoRedisClient & { readonly options: Address }>
  disconnect(): void
}

const OVERRIDES = {
  lazyConnect: true,
  // The caller retries.
  clusterRetryStrategy: null,
  // Without the check, servers of a cluster that is down are found too.
  enableReadyCheck: false,
  shardedSubscribers: false,
  slotsRefreshInterval: undefined,
}

/** Finds the servers of a cluster with a temporary connection. */
export async function findIoRedisNodes(client: IoRedisCluster): Promise<ClusterNodes> {
  // The startup nodes are the first parameter. An empty list keeps them.
  const own = client.duplicate(...([[], OVERRIDES] as never[])) as OwnIoRedisCluster
  let cause: Error | undefined
  own.on('error', () => {})
  own.on('node error', (error) => {
    cause = error
  })
  try {
    await own.connect()
    const nodes = [...own.nodes('master'), ...own.nodes('slave')]
    const [template] = nodes
    if (!template) throw new Error('The cluster has no servers.')
    return {
      addresses: nodes.map(({ options: { host, port } }) => ({ host, port })),
      translate: (address) => translate(address, client.options.natMap),
      open: (address, listener) => openIoRedis(template, listener, address),
    }
  } catch (error) {
    throw cause ?? error
  } finally {
    own.disconnect()
  }
}

function translate(address: Address, natMap: NatMap | null | undefined): Address {
  const key = `${address.host}:${address.port}`
  return (typeof natMap === 'function' ? natMap(key) : natMap?.[key]) ?? address
}
