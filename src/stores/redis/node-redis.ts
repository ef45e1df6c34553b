import { backoff } from './backoff.ts'
import type { ConnectionListener, NodeRedisClient, RedisConnection } from './connection.ts'

interface OwnNodeRedis {
  connect(): Promise<unknown>
  on(event: string, listener: (...args: never[]) => void): unknown
  sendCommand(args: readonly string[]): Promise<unknown>
  subscribe(channel: string, listener: (text: string) => void): Promise<unknown>
  ping(): Promise<unknown>
  destroy?(): unknown
  disconnect(): unknown
  readonly isReady: boolean
}

export function openNodeRedis(client: NodeRedisClient, listener: ConnectionListener): RedisConnection {
  return new NodeRedisConnection(client, listener)
}

class NodeRedisConnection implements RedisConnection {
  readonly #own: OwnNodeRedis
  readonly #listener: ConnectionListener
  #isConnecting = false
  #isClosed = false
  #isListening = false

  constructor(client: NodeRedisClient, listener: ConnectionListener) {
    this.#listener = listener
    this.#own = client.duplicate(this.#overrides(client) as never) as OwnNodeRedis
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

  async subscribe(channel: string, listener: (text: string) => void): Promise<void> {
    if (!this.#isListening) await this.#own.subscribe(channel, listener)
    this.#isListening = true
    // It subscribes again by itself, and before this.
    await this.#own.ping()
  }

  reconnect(): void {
    if (!this.isReady || this.#isClosed) return
    this.#end()
    this.#lost(true)
    this.#connect()
  }

  close(): void {
    this.#isClosed = true
    // One that is ended while it connects, connects all the same.
    if (!this.#isConnecting) this.#end()
  }

  #overrides(client: NodeRedisClient) {
    const { options } = client as { options?: { socket?: object } }
    const reconnectStrategy = (attempt: number) => (this.#isClosed ? false : backoff(attempt))
    return {
      // What is not sent at once is tried again by who knows whether that is safe.
      disableOfflineQueue: true,
      // A read waits for longer than a command of the user's may take.
      socket: { ...options?.socket, socketTimeout: undefined, reconnectStrategy },
    }
  }

  #connect(): void {
    this.#isConnecting = true
    this.#own.connect().catch(this.#listener.onError)
  }

  // Not when it is ready: a server may say nothing for ever. And not from within the event: version 4 would leave
  // rejections behind that nobody can handle.
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

  // Version 4 answers with a promise, and 4 and 5 fail for one that is ended.
  #end(): void {
    const { destroy, disconnect } = this.#own
    const end = async () => (destroy ?? disconnect).call(this.#own)
    end().catch(() => {})
  }
}
