import { backoff } from './backoff.ts'
import type {
  Address,
  ConnectionListener,
  MessageListener,
  NodeRedisClient,
  RedisConnection,
} from './connection.ts'

interface OwnNodeRedis {
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(channels: readonly string[], listener: MessageListener): Promise<unknown>
  unsubscribe(channels: readonly string[], listener: MessageListener): Promise<unknown>
  ping(): Promise<unknown>
  destroy?(): unknown
  disconnect(): unknown
  readonly isReady: boolean
}

/** Opens a connection with the settings of a client, which is not used itself, by default to the same server. */
export function openNodeRedis(
  client: NodeRedisClient,
  listener: ConnectionListener,
  address?: Address,
): RedisConnection {
  return new NodeRedisConnection(client, listener, address)
}

class NodeRedisConnection implements RedisConnection {
  readonly #own: OwnNodeRedis
  readonly #listener: ConnectionListener
  #isConnecting = false
  #isClosed = false

  constructor(client: NodeRedisClient, listener: ConnectionListener, address: Address | undefined) {
    this.#listener = listener
    this.#own = client.duplicate(this.#overrides(client, address) as never) as OwnNodeRedis
    this.#own.on('connect', () => this.#connected())
    this.#own.on('ready', () => listener.onReady())
    this.#own.on('error', ((error: Error) => this.#failed(error)) as never)
    this.#own.on('reconnecting', () => this.#lost(true))
    this.#connect()
  }

  get isReady(): boolean {
    return this.#own.isReady
  }

  command(...args: string[]): Promise<unknown> {
    return this.#own.sendCommand(args)
  }

  async subscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    // Sends nothing for earlier channels. The client resubscribes to them by itself before it sends further commands.
    await this.#own.subscribe(channels, listener)
    await this.#own.ping()
  }

  async unsubscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    await this.#own.unsubscribe(channels, listener)
  }

  reconnect(): void {
    if (!this.isReady || this.#isClosed) return
    this.#end()
    this.#lost(true)
    this.#connect()
  }

  close(): void {
    this.#isClosed = true
    // A client that is destroyed while it connects would still connect.
    if (!this.#isConnecting) this.#end()
  }

  #overrides(client: NodeRedisClient, address: Address | undefined) {
    const { options } = client as { options?: { socket?: object } }
    const reconnectStrategy = (attempt: number) => (this.#isClosed ? false : backoff(attempt))
    return {
      // The offline queue resends commands after a reconnect, and only `CommandQueue` knows which are safe to repeat.
      disableOfflineQueue: true,
      // A replica accepts no events.
      readonly: false,
      // With the legacy mode of version 4, commands return no promise.
      legacyMode: false,
      // A blocking read takes longer than the commands that the user's timeout is made for.
      socket: { ...options?.socket, ...address, socketTimeout: undefined, reconnectStrategy },
    }
  }

  #connect(): void {
    this.#isConnecting = true
    this.#own.connect().catch(this.#listener.onError)
  }

  // Not at `ready`, because a server may never respond. Not inside the event, because version 4 would then cause
  // unhandled rejections.
  #connected(): void {
    this.#isConnecting = false
    if (this.#isClosed) setImmediate(() => this.#end())
  }

  #failed(error: Error): void {
    this.#listener.onError(error)
    this.#lost(false)
  }

  #lost(isConnecting: boolean): void {
    this.#isConnecting = isConnecting
    this.#listener.onLost()
  }

  // Version 4 returns a promise; versions 4 and 5 throw if the client is destroyed already.
  #end(): void {
    const { destroy, disconnect } = this.#own
    const end = async () => (destroy ?? disconnect).call(this.#own)
    end().catch(() => {})
  }
}
