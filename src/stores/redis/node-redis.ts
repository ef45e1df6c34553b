import { atTurnEnd } from '../../scheduler/turn.ts'
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
    // Sends no command for channels that are already subscribed. After a reconnect, the client resubscribes to them
    // before it sends further commands.
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
      // The offline queue resends commands after a reconnect, but only `CommandQueue` can decide which are safe to
      // repeat.
      disableOfflineQueue: true,
      // A replica accepts no events.
      readonly: false,
      // With the legacy mode of version 4, commands return no promise.
      legacyMode: false,
      // `CommandQueue` has a limit of its own for how long a command waits.
      commandsQueueMaxLength: undefined,
      commandOptions: { timeout: undefined },
      // A blocking read takes longer than the commands that the user's timeout is made for.
      socket: { ...options?.socket, ...address, socketTimeout: undefined, reconnectStrategy },
    }
  }

  #connect(): void {
    this.#isConnecting = true
    this.#own.connect().catch(this.#listener.onError)
  }

  // Ends a closed client before `ready`, because a server may never respond. The end is deferred, because version 4
  // would cause unhandled rejections inside the event.
  #connected(): void {
    this.#isConnecting = false
    if (this.#isClosed) atTurnEnd(() => this.#end())
  }

  #failed(error: Error): void {
    this.#listener.onError(error)
    this.#lost(false)
  }

  #lost(isConnecting: boolean): void {
    this.#isConnecting = isConnecting
    this.#listener.onLost()
  }

  // Version 4 returns a promise. Versions 4 and 5 throw if the client is already destroyed.
  #end(): void {
    const { destroy, disconnect } = this.#own
    const end = async () => (destroy ?? disconnect).call(this.#own)
    end().catch(() => {})
  }
}
