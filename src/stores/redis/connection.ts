/**
 * A client of the package `redis`: `createClient` of version 4, `createCluster` of 5, `createSentinel` of 6, or later.
 */
export interface NodeRedisClient {
  // The types of the package require options that differ between versions.
  duplicate(options?: never): unknown
  sendCommand(...args: never[]): Promise<unknown>
}

/** A `Redis` or `Cluster` of the package `ioredis`. */
export interface IoRedisClient {
  duplicate(...options: never[]): unknown
  call(command: never, ...args: never[]): Promise<unknown>
  readonly status: string
}

export type RedisClient = NodeRedisClient | IoRedisClient

/** Which commands may be in flight together. `alike`: either repeatable ones or others. `single`: one at a time. */
export type Pipelining = 'all' | 'alike' | 'single'

export type MessageListener = (text: string, channel: string) => void

/** A connection of the store, which reconnects by itself. While it is lost, a command MUST fail at once. */
export interface RedisConnection {
  readonly isReady: boolean
  /** Default: `all`. */
  readonly pipelining?: Pipelining
  command(...args: string[]): Promise<unknown>
  /**
   * Resolves once every further message of some channels is received. MUST be called again after a reconnect, always
   * with the same listener.
   */
  subscribe(channels: readonly string[], listener: MessageListener): Promise<void>
  /** Resolves once no further message of some channels is received. MUST NOT run at the same time as `subscribe`. */
  unsubscribe(channels: readonly string[], listener: MessageListener): Promise<void>
  /** Replaces a connection that no longer responds. */
  reconnect(): void
  close(): void
}

export interface ConnectionListener {
  onReady(): void
  onLost(): void
  /** The error may be permanent, for example wrong credentials. */
  onError(error: Error): void
}

export interface Address {
  readonly host: string
  readonly port: number
}
