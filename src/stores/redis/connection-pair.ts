import { Condition } from '../../condition.ts'
import { SseError } from '../../errors.ts'
import { withDeadline } from '../broker/deadline.ts'
import { closedError, unusableError } from '../broker/errors.ts'
import { type Connector, connectorOf } from './client.ts'
import { CommandQueue } from './command-queue.ts'
import type { ConnectionListener, MessageListener, RedisClient, RedisConnection } from './connection.ts'
import { isPermanent } from './errors.ts'

export type Role = 'reader' | 'writer'

export interface ConnectionPairListener {
  onReady(role: Role): void
  onLost(role: Role): void
}

// The minimum of the response timeout, in ms.
const MIN_RESPONSE_TIMEOUT = 1_000

/** The two connections that determine the state of a store. The reader waits for entries, and the writer publishes. */
export class ConnectionPair {
  isClosed = false
  /** The last error of a connection, or the last one that `fail` was called with. */
  failure: Error | undefined
  readonly #responseTimeout: number
  readonly #listener: ConnectionPairListener
  readonly #changed = new Condition()
  readonly #connector: Connector
  readonly #writer: RedisConnection
  readonly #reader: RedisConnection
  readonly #queue: CommandQueue
  #permanentFailure: Error | undefined

  /** `key` is the key of all commands. */
  constructor(client: RedisClient, key: string, publishTimeout: number, listener: ConnectionPairListener) {
    // After this time, every publish has timed out, so a new connection loses none.
    this.#responseTimeout = Math.max(MIN_RESPONSE_TIMEOUT, publishTimeout)
    this.#listener = listener
    this.#connector = connectorOf(client, key, this.#responseTimeout)
    this.#queue = new CommandQueue(
      () => this.isWritable,
      () => this.#writer.pipelining ?? 'all',
    )
    this.#writer = this.#connector.open(this.#listenerFor('writer'))
    this.#reader = this.#connector.open(this.#listenerFor('reader'))
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

  /** Resolves when both connections are ready, or the pair is closed. */
  whenUp(): Promise<void> {
    return this.#changed.until(() => this.isUp || this.isClosed)
  }

  /** Resolves once a condition is true. Rejects with `SseError` if no retry can make it true. */
  async whenReady(isReady = () => this.isUp): Promise<void> {
    await this.#changed.until(() => isReady() || this.isClosed || this.#permanentFailure !== undefined)
    if (this.isClosed) throw closedError()
    if (this.#permanentFailure) throw unusableError(this.#permanentFailure)
  }

  /** Opens another connection to the same server. The caller closes it. */
  open(listener: ConnectionListener): RedisConnection {
    return this.#connector.open(listener)
  }

  /** Sends a command at once. */
  ask(...command: string[]): Promise<unknown> {
    return this.#awaitReply('writer', this.#responseTimeout, this.#writer.command(...command))
  }

  /** Sends a command at once, to the server that the blocking reads are sent to. */
  askReader(...command: string[]): Promise<unknown> {
    return this.#awaitReply('reader', this.#responseTimeout, this.#reader.command(...command))
  }

  /** Sends a command that the server may respond to up to `ms` later. */
  askBlocking(ms: number, ...command: string[]): Promise<unknown> {
    return this.#awaitReply('reader', ms + this.#responseTimeout, this.#reader.command(...command))
  }

  /** Does work in order, with the retries of `CommandQueue`. The work MUST send a command at once. */
  send<T>(deadline: number, isRepeatable: boolean, work: () => Promise<T>): Promise<T> {
    return this.#queue.send(deadline, isRepeatable, work)
  }

  subscribe(channel: string, listener: MessageListener): Promise<void> {
    return this.#awaitReply('reader', this.#responseTimeout, this.#reader.subscribe([channel], listener))
  }

  /** Reconnects if the reader does not respond. */
  async probe(): Promise<void> {
    await this.askReader('ping').catch(() => {})
  }

  /** Notes an error, which rejects `whenReady` if it is permanent. */
  fail(error: Error): void {
    this.failure = error
    if (isPermanent(error)) this.#permanentFailure = error
    this.notify()
  }

  /** Checks the conditions of pending waits. */
  notify(): void {
    this.#changed.notify()
  }

  close(): void {
    this.isClosed = true
    this.#queue.close()
    this.#reader.close()
    this.#writer.close()
    this.#connector.close()
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

  async #awaitReply<T>(role: Role, ms: number, reply: Promise<T>): Promise<T> {
    try {
      return await withDeadline(performance.now() + ms, reply)
    } catch (error) {
      if (error instanceof SseError && !this.isClosed) this.#replace(role)
      throw error
    }
  }

  /**
   * Reconnects after a late reply. Otherwise, a half-open TCP connection goes unnoticed for about 15 minutes. The other
   * connection is probably half-open too. The reader is always replaced, because a blocking read would fail late, and
   * the writer is probed.
   */
  #replace(role: Role): void {
    this.#reader.reconnect()
    if (role === 'writer') this.#writer.reconnect()
    else this.ask('PING').catch(() => {})
  }
}
