import { setTimeout as pause } from 'node:timers/promises'
import type { ConnectionListener, NodeRedisClient, RedisConnection } from './connection.ts'
import { openNodeRedis } from './node-redis.ts'
import type { Topology } from './topology.ts'

/** A `createSentinel` of the package `redis`, from version 6 on. */
export interface NodeRedisSentinel extends NodeRedisClient {
  getMasterNode(): unknown
}

interface OwnNodeRedisSentinel {
  connect(): Promise<unknown>
  on(event: 'error', listener: (error: Error) => void): unknown
  /** Returns undefined while the client is not connected to a master. */
  getMasterNode(): unknown
  /** Passes the client of a server, which has its settings. There is no other access to it. */
  _execute(isReadonly: boolean, work: (client: NodeRedisClient) => Promise<Captured>): Promise<Captured>
  destroy(): Promise<void>
}

// Wraps the client, because a promise for the client itself would wait for it.
interface Captured {
  readonly client: NodeRedisClient
}

const OVERRIDES = {
  masterPoolSize: 1,
  replicaPoolSize: 0,
  reserveClient: false,
  passthroughClientErrorEvents: true,
  // How often the sentinels are polled for the master, in ms, in addition to their messages.
  scanInterval: 5_000,
}
// The delay between two checks for a master, in ms.
const POLL_INTERVAL = 50

/** Opens connections to the master that sentinels name. A separate client listens to the sentinels. */
export class NodeRedisSentinelTopology implements Topology {
  readonly redirects = false
  readonly #client: NodeRedisSentinel
  #own: OwnNodeRedisSentinel | undefined
  #tracker: Promise<OwnNodeRedisSentinel> | undefined

  constructor(client: NodeRedisSentinel) {
    this.#client = client
  }

  async open(listener: ConnectionListener, signal: AbortSignal): Promise<RedisConnection> {
    this.#tracker ??= this.#track(listener)
    const tracker = await this.#tracker
    // A command would query the sentinels repeatedly until there is a master.
    while (tracker.getMasterNode() === undefined) await pause(POLL_INTERVAL, undefined, { signal })
    const { client } = await tracker._execute(false, async (client) => ({ client }))
    signal.throwIfAborted()
    return openNodeRedis(client, listener)
  }

  close(): void {
    // Also ends an attempt to connect.
    this.#own?.destroy().catch(() => {})
  }

  async #track({ onError }: ConnectionListener): Promise<OwnNodeRedisSentinel> {
    const own = this.#client.duplicate(OVERRIDES as never) as OwnNodeRedisSentinel
    this.#own = own
    // The error of a server, for example wrong credentials, is the `cause`.
    own.on('error', (error) => onError(error.cause instanceof Error ? error.cause : error))
    try {
      await own.connect()
      return own
    } catch (error) {
      this.#tracker = undefined
      own.destroy().catch(() => {})
      throw error
    }
  }
}
