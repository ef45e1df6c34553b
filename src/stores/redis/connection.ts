/** A client of the `redis` package, from version 4 on. */
export interface NodeRedisClient {
  // Its own types demand options that differ between versions.
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

/** A connection of the store, which reconnects by itself. While it is lost, a command MUST fail at once. */
export interface RedisConnection {
  readonly isReady: boolean
  command(...args: string[]): Promise<unknown>
  /** Resolves once every further message of a channel is received. MAY be called again after a reconnect. */
  subscribe(channel: string, listener: (text: string) => void): Promise<void>
  /** Replaces a connection that does not respond any more by a new one. */
  reconnect(): void
  close(): void
}

export interface ConnectionListener {
  onReady(): void
  onLost(): void
  /** The error may be one that no retry can mend, for example wrong credentials. */
  onError(error: Error): void
}
