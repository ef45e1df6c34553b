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
  subscribe(channel: string, listener: (text: string) => void): Promise<void>
  /** Lets go of what does not answer any more, for a new connection. */
  reconnect(): void
  close(): void
}

export interface ConnectionListener {
  onReady(): void
  onLost(): void
  /** What no second try can mend, wrong credentials say. */
  onError(error: Error): void
}
