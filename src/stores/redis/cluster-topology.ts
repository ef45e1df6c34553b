import { withDeadline } from '../broker/deadline.ts'
import type { Address, ConnectionListener, RedisConnection } from './connection.ts'
import type { Topology } from './topology.ts'

/** The servers of a cluster as a client package found them. */
export interface ClusterNodes {
  /** The masters are first. */
  readonly addresses: readonly Address[]
  /** Returns the address at which this process reaches a server, from the address that the cluster uses. */
  translate(address: Address): Address
  open(address: Address, listener: ConnectionListener): RedisConnection
}

// How long finding the servers may take, in ms.
const DISCOVERY_TIMEOUT = 10_000

/** Opens connections to any server of a cluster. Each server redirects commands to the one that has the key. */
export class ClusterTopology implements Topology {
  readonly redirects = true
  readonly #discover: () => Promise<ClusterNodes>
  #nodes: ClusterNodes | undefined
  // The servers that were not tried since they were found.
  #candidates: Address[] = []
  #discovery: Promise<ClusterNodes> | undefined

  constructor(discover: () => Promise<ClusterNodes>) {
    this.#discover = discover
  }

  async open(
    listener: ConnectionListener,
    signal: AbortSignal,
    redirected?: Address,
  ): Promise<RedisConnection> {
    if (this.#nodes && redirected) return this.#nodes.open(this.#nodes.translate(redirected), listener)
    const nodes = this.#nodes && this.#candidates.length > 0 ? this.#nodes : await this.#find()
    signal.throwIfAborted()
    const address = this.#candidates.shift() ?? nodes.addresses[0]
    if (!address) throw new Error('The cluster has no servers.')
    return nodes.open(address, listener)
  }

  close(): void {}

  /** Finds the servers. Connections that are opened meanwhile share the result. */
  #find(): Promise<ClusterNodes> {
    this.#discovery ??= this.#search().finally(() => {
      this.#discovery = undefined
    })
    return this.#discovery
  }

  async #search(): Promise<ClusterNodes> {
    const nodes = await withDeadline(performance.now() + DISCOVERY_TIMEOUT, this.#discover())
    this.#candidates = [...nodes.addresses]
    this.#nodes = nodes
    return nodes
  }
}
