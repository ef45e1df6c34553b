import { describe, SseError } from '../../errors.ts'

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

interface OwnClient {
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
}

interface OwnNodeRedis extends OwnClient {
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>
  ping(): Promise<unknown>
  destroy?(): unknown
  disconnect(): unknown
  readonly isReady: boolean
}

interface OwnIoRedis extends OwnClient {
  call(command: string, ...args: string[]): Promise<unknown>
  subscribe(channel: string): Promise<unknown>
  disconnect(): void
  readonly status: string
}

/** A connection of our own, which comes back by itself. A command fails at once while it is lost. */
export interface RedisConnection {
  readonly isReady: boolean
  command(...args: string[]): Promise<unknown>
  /** Resolves when every message of a channel is heard from here on. May be called again after the connection was lost. */
  listen(channel: string, listener: (text: string) => void): Promise<void>
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

/** Opens a connection with the settings of the user's client, and leaves that one alone. */
export function openConnection(client: RedisClient, listener: ConnectionListener): RedisConnection {
  return 'call' in client ? openIoRedis(client, listener) : openNodeRedis(client, listener)
}

// Pauses between attempts to reconnect, in ms.
const backoff = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 6), 2_000)

function openNodeRedis(
  client: NodeRedisClient,
  { onReady, onLost, onError }: ConnectionListener,
): RedisConnection {
  const { options } = client as { options?: { socket?: object } }
  const overrides = {
    // What is not sent at once is tried again by who knows whether that is safe.
    disableOfflineQueue: true,
    socket: { ...options?.socket, reconnectStrategy: backoff },
  }
  const own = client.duplicate(overrides as never) as OwnNodeRedis
  own.on('ready', onReady)
  own.on('error', ((error: Error) => {
    onError(error)
    onLost()
  }) as never)
  own.on('reconnecting', onLost)
  own.connect().catch(onError)
  let isListening = false
  return {
    get isReady() {
      return own.isReady
    },
    command: (...args) => own.sendCommand(args),
    async listen(channel, listener) {
      if (!isListening) await own.subscribe(channel, listener)
      isListening = true
      // It subscribes again by itself, and before this.
      await own.ping()
    },
    close: () => void (own.destroy ? own.destroy() : own.disconnect()),
  }
}

function openIoRedis(
  client: IoRedisClient,
  { onReady, onLost, onError }: ConnectionListener,
): RedisConnection {
  const overrides = {
    lazyConnect: true,
    enableOfflineQueue: false,
    // A command that was sent may have been done: sent again, it would be done twice.
    autoResendUnfulfilledCommands: false,
    // What waits for an answer fails when the connection is lost, and not only when the time for it is over.
    maxRetriesPerRequest: 0,
    retryStrategy: backoff,
  }
  const own = client.duplicate(overrides as never) as OwnIoRedis
  own.on('ready', onReady)
  own.on('close', onLost)
  own.on('error', onError as never)
  own.connect().catch(onError)
  let isListening = false
  return {
    get isReady() {
      return own.status === 'ready'
    },
    command: (command, ...args) => own.call(command as string, ...args),
    async listen(channel, listener) {
      if (!isListening) own.on('message', ((_channel: string, text: string) => listener(text)) as never)
      isListening = true
      await own.subscribe(channel)
    },
    close: () => own.disconnect(),
  }
}
