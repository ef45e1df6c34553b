import { Condition } from '../../condition.ts'
import { SseError } from '../../errors.ts'
import { withDeadline } from '../broker/deadline.ts'
import { openConnection } from './client.ts'
import { CommandQueue } from './command-queue.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { closedError, isPermanent, unusableError } from './errors.ts'

type Role = 'reader' | 'writer'

export interface ConnectionPairListener {
  onReady(role: Role): void
  onLost(role: Role): void
}

// How long a connection may always take for an answer, in ms.
const MIN_RESPONSE_TIMEOUT = 1_000

/** The two connections of a log: one that waits for entries, and one for everything else. */
export class ConnectionPair {
  isClosed = false
  readonly #responseTimeout: number
  readonly #listener: ConnectionPairListener
  readonly #changed = new Condition()
  readonly #writer: RedisConnection
  readonly #reader: RedisConnection
  readonly #queue: CommandQueue
  #failure: Error | undefined

  constructor(client: RedisClient, publishTimeout: number, listener: ConnectionPairListener) {
    // A publish is given up by then: no more is lost by a new connection.
    this.#responseTimeout = Math.max(MIN_RESPONSE_TIMEOUT, publishTimeout)
    this.#listener = listener
    this.#queue = new CommandQueue(() => this.isWritable)
    this.#writer = openConnection(client, this.#listenerFor('writer'))
    this.#reader = openConnection(client, this.#listenerFor('reader'))
  }

  get isUp(): boolean {
    return this.isWritable && this.isReadable
  }

  get isWritable(): boolean {
    return !this.isClosed && this.#writer.isReady
  }

  get isReadable(): boolean {
    return !this.isClosed && this.#reader.isReady
  }

  /** Resolves when both connections are there, or the link is closed. */
  whenUp(): Promise<void> {
    return this.#changed.until(() => this.isUp || this.isClosed)
  }

  /** Resolves at a beginning. Rejects with `SseError` when that will never be. */
  async whenReady(isBegun = () => this.isUp): Promise<void> {
    await this.#changed.until(() => isBegun() || this.isClosed || this.#failure !== undefined)
    if (this.isClosed) throw closedError()
    if (this.#failure) throw unusableError(this.#failure)
  }

  /** Resolves when it can be asked, or is closed. */
  whenWritable(): Promise<void> {
    return this.#changed.until(() => this.isWritable || this.isClosed)
  }

  /** Asks at once. */
  ask(...command: string[]): Promise<unknown> {
    return this.#awaitReply(this.#responseTimeout, this.#writer.command(...command))
  }

  /** Asks what the server answers up to so many ms later. */
  askBlocking(ms: number, ...command: string[]): Promise<unknown> {
    return this.#awaitReply(ms + this.#responseTimeout, this.#reader.command(...command))
  }

  /** Asks in the order of those who send, and again when it has to: see `Line`. */
  send(deadline: number, isRepeatable: boolean, ...command: string[]): Promise<unknown> {
    return this.#queue.send(deadline, isRepeatable, () => this.ask(...command))
  }

  subscribe(channel: string, listener: (text: string) => void): Promise<void> {
    return this.#awaitReply(this.#responseTimeout, this.#reader.subscribe(channel, listener))
  }

  /** Looks whether the connection that listens is alive. */
  async probe(): Promise<void> {
    await this.#awaitReply(this.#responseTimeout, this.#reader.command('ping')).catch(() => {})
  }

  /** What no second try can mend is told to who begins. */
  fail(error: Error): void {
    if (isPermanent(error)) this.#failure = error
    this.notify()
  }

  /** Those who wait look again. */
  notify(): void {
    this.#changed.notify()
  }

  /** For new connections: dead without a word, these would be noticed after a quarter of an hour. */
  reconnect(): void {
    this.#writer.reconnect()
    this.#reader.reconnect()
  }

  close(): void {
    this.isClosed = true
    this.#queue.close()
    this.#reader.close()
    this.#writer.close()
    this.notify()
  }

  #listenerFor(role: Role) {
    return {
      onReady: () => {
        this.#listener.onReady(role)
        this.#queue.drain()
        this.notify()
      },
      onLost: () => {
        if (!this.isClosed) this.#listener.onLost(role)
      },
      onError: (error: Error) => this.fail(error),
    }
  }

  async #awaitReply<T>(ms: number, asked: Promise<T>): Promise<T> {
    try {
      return await withDeadline(Date.now() + ms, asked)
    } catch (error) {
      // Where one says nothing, the other is dead too, most likely.
      if (error instanceof SseError && !this.isClosed) this.reconnect()
      throw error
    }
  }
}
