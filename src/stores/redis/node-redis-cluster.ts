import type { ClusterNodes } from './cluster-topology.ts'
import type { Address, NodeRedisClient } from './connection.ts'
import { openNodeRedis } from './node-redis.ts'

type AddressMap = Record<string, Address> | ((address: string) => Address | undefined)

interface ClusterOptions {
  readonly defaults?: { readonly socket?: object }
  readonly nodeAddressMap?: AddressMap
}

/** A `createCluster` of the package `redis`, from version 5 on. */
export interface NodeRedisCluster extends NodeRedisClient {
  // No public field contains the passwords and `nodeAddressMap`.
  readonly _options: ClusterOptions
}

interface OwnNodeRedisCluster {
  connect(): Promise<unknown>
  on(event: string, listener: (error: Error) => void): unknown
  nodeClient(node: Address): Promise<NodeRedisClient>
  destroy(): void
  readonly masters: readonly Address[]
  readonly replicas: readonly Address[]
}

/** Finds the servers of a cluster with a temporary connection. */
export async function findNodeRedisNodes(client: NodeRedisCluster): Promise<ClusterNodes> {
  const { _options: options } = client
  const own = client.duplicate(overrides(options) as never) as OwnNodeRedisCluster
  let cause: Error | undefined
  own.on('error', (error) => {
    cause = error
  })
  try {
    await own.connect()
    // The client of any server that responds has the settings for all servers.
    const template = await Promise.any(own.masters.map((node) => own.nodeClient(node)))
    return {
      addresses: [...own.masters, ...own.replicas].map((node) => translate(node, options.nodeAddressMap)),
      translate: (address) => translate(address, options.nodeAddressMap),
      open: (address, listener) => openNodeRedis(template, listener, address),
    }
  } catch (error) {
    throw cause ?? (error instanceof AggregateError ? error.errors[0] : error)
  } finally {
    own.destroy()
  }
}

function overrides({ defaults }: ClusterOptions) {
  // The caller retries.
  const socket = { ...defaults?.socket, reconnectStrategy: false }
  return { minimizeConnections: true, useReplicas: true, defaults: { ...defaults, socket } }
}

function translate({ host, port }: Address, map: AddressMap | undefined): Address {
  const address = `${host}:${port}`
  return (typeof map === 'function' ? map(address) : map?.[address]) ?? { host, port }
}
