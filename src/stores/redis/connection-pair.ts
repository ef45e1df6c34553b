import { Waiters } from '../../condition.ts'
import { SseError } from '../../errors.ts'
import { within } from '../broker/deadline.ts'
import { openConnection } from './client.ts'
import { Line } from './command-queue.ts'
import type { RedisClient, RedisConnection } from './connection.ts'
import { gone, isFinal, unusable } from './errors.ts'

type Which = 'reader' | 'writer'

export interface LinkListener {
  onReady(which: Which): void
  onLost(which: Which): void
}

// How long a connection may always take for an answer, in ms.
const LEAST_SILENCE = 1_000

/** The two connections of a log: one that waits for entries, and one for everything else. */
export class Link {
  isClosed = false
  readonly #silence: number
  readonly #listener: LinkListener
  readonly #changed = new Waiters()
  readonly #writer: RedisConnection
  readonly #reader: RedisConnection
  readonly #line: Line
  #failure: Error | undefined

  constructor(client: RedisClient, publishTimeout: number, listener: LinkListener) {
    // A publish is given up by then: no more is lost by a new connection.
    this.#silence = Math.max(LEAST_SILENCE, publishTimeout)
    this.#listener = listener
    this.#line = new Line(() => this.isWritable)
    this.#writer = openConnection(client, this.#of('writer'))
    this.#reader = openConnection(client, this.#of('reader'))
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
  up(): Promise<void> {
    return this.#changed.until(() => this.isUp || this.isClosed)
  }

  /** Resolves at a beginning. Rejects with `SseError` when that will never be. */
  async begun(isBegun = () => this.isUp): Promise<void> {
    await this.#changed.until(() => isBegun() || this.isClosed || this.#failure !== undefined)
    if (this.isClosed) throw gone()
    if (this.#failure) throw unusable(this.#failure)
  }

  /** Resolves when it can be asked, or is closed. */
  writable(): Promise<void> {
    return this.#changed.until(() => this.isWritable || this.isClosed)
  }

  /** Asks at once. */
  ask(...command: string[]): Promise<unknown> {
    return this.#answer(this.#silence, this.#writer.command(...command))
  }

  /** Asks what the server answers up to so many ms later. */
  wait(ms: number, ...command: string[]): Promise<unknown> {
    return this.#answer(ms + this.#silence, this.#reader.command(...command))
  }

  /** Asks in the order of those who send, and again when it has to: see `Line`. */
  send(deadline: number, isRepeatable: boolean, ...command: string[]): Promise<unknown> {
    return this.#line.send(deadline, isRepeatable, () => this.ask(...command))
  }

  listen(channel: string, listener: (text: string) => void): Promise<void> {
    return this.#answer(this.#silence, this.#reader.listen(channel, listener))
  }

  /** Looks whether the connection that listens is alive. */
  async probe(): Promise<void> {
    await this.#answer(this.#silence, this.#reader.command('ping')).catch(() => {})
  }

  /** What no second try can mend is told to who begins. */
  fail(error: Error): void {
    if (isFinal(error)) this.#failure = error
    this.notify()
  }

  /** Those who wait look again. */
  notify(): void {
    this.#changed.notify()
  }

  /** For new connections: dead without a word, these would be noticed after a quarter of an hour. */
  restart(): void {
    this.#writer.restart()
    this.#reader.restart()
  }

  close(): void {
    this.isClosed = true
    this.#line.close()
    this.#reader.close()
    this.#writer.close()
    this.notify()
  }

  #of(which: Which) {
    return {
      onReady: () => {
        this.#listener.onReady(which)
        this.#line.go()
        this.notify()
      },
      onLost: () => {
        if (!this.isClosed) this.#listener.onLost(which)
      },
      onError: (error: Error) => this.fail(error),
    }
  }

  async #answer<T>(ms: number, asked: Promise<T>): Promise<T> {
    try {
      return await within(Date.now() + ms, asked)
    } catch (error) {
      // Where one says nothing, the other is dead too, most likely.
      if (error instanceof SseError && !this.isClosed) this.restart()
      throw error
    }
  }
}
