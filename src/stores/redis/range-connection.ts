import { OrderedMap } from '../../ordered-map.ts'
import { Deadline } from '../../scheduler/deadline.ts'
import { jitter } from '../../scheduler/jitter.ts'
import { pause } from '../../scheduler/pause.ts'
import { closedError, rejectedError, timeoutError } from '../broker/errors.ts'
import { asPermanent } from '../permanent-error.ts'
import { backoff } from './backoff.ts'
import type { ConnectionListener, RedisConnection } from './connection.ts'
import { isPermanent, StaleServerError } from './errors.ts'
import type { Ask } from './stream-reads.ts'

// The maximum number of commands in flight. A command of an aborted read counts until its reply has arrived.
const MAX_IN_FLIGHT = 8
// The minimum of the timeout for the next reply, in ms.
const MIN_RESPONSE_TIMEOUT = 5_000

/**
 * The connection of the reads for which clients wait, opened with the first one. It is separate, because its replies
 * may be large and late. They delay no publish and no live event, and a missing reply replaces only this connection.
 */
export class RangeConnection {
  /** The last error of an attempt or of the connection. Undefined after a success. */
  failure: unknown
  readonly #open: (listener: ConnectionListener) => RedisConnection
  readonly #responseTimeout: number
  readonly #reads = new Set<AbortController>()
  // The commands that are not sent, in their order.
  readonly #waiting = new OrderedMap<Command, true>()
  readonly #inFlight = new Set<Command>()
  #connection: RedisConnection | undefined
  #deadline: Deadline | undefined
  #isClosed = false

  constructor(open: (listener: ConnectionListener) => RedisConnection, publishTimeout: number) {
    this.#open = open
    this.#responseTimeout = Math.max(MIN_RESPONSE_TIMEOUT, publishTimeout)
  }

  /**
   * Does the work of a read, and retries it after each transient error. Rejects with `SseError` for a permanent error
   * and once the connection is closed. Rejects with the reason of the signal once it is aborted, after which no command
   * is sent.
   */
  async read<T>(signal: AbortSignal, work: (ask: Ask) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    if (this.#isClosed) throw closedError()
    const ending = new AbortController()
    const end = () => ending.abort(signal.reason)
    signal.addEventListener('abort', end)
    this.#reads.add(ending)
    try {
      return await this.#retry(ending.signal, work)
    } finally {
      this.#reads.delete(ending)
      signal.removeEventListener('abort', end)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const read of this.#reads) read.abort(closedError())
    this.#inFlight.clear()
    this.#awaitNextReply()
    this.#connection?.close()
  }

  async #retry<T>(signal: AbortSignal, work: (ask: Ask) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await work((...command) => this.#ask(signal, command))
        this.failure = undefined
        return result
      } catch (error) {
        signal.throwIfAborted()
        this.failure = error
        if (isPermanent(error as Error)) throw asPermanent(rejectedError(error))
        if (error instanceof StaleServerError) this.#connection?.reconnect()
      }
      await pause(jitter(backoff(attempt)), signal)
    }
  }

  async #ask(signal: AbortSignal, args: readonly string[]): Promise<unknown> {
    signal.throwIfAborted()
    const command = new Command(args)
    const abort = () => {
      this.#waiting.delete(command)
      command.reject(signal.reason)
    }
    signal.addEventListener('abort', abort)
    this.#waiting.set(command, true)
    this.#drain()
    try {
      return await command.reply
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #drain(): void {
    if (this.#isClosed) return
    this.#connection ??= this.#open({
      onReady: () => this.#drain(),
      onLost: () => {},
      onError: (error) => this.#fail(error),
    })
    while (this.#connection.isReady && this.#inFlight.size < MAX_IN_FLIGHT) {
      const command = this.#waiting.shift()
      if (!command) return
      void this.#send(this.#connection, command)
    }
  }

  async #send(connection: RedisConnection, command: Command): Promise<void> {
    this.#inFlight.add(command)
    this.#deadline ??= this.#newDeadline()
    await connection.command(...command.args).then(command.resolve, command.reject)
    // A command that is no longer in flight had no reply in time.
    if (this.#inFlight.delete(command)) this.#awaitNextReply()
    this.#drain()
  }

  /** Restarts the deadline for the next reply, so that the time of a large reply begins after all replies before it. */
  #awaitNextReply(): void {
    this.#deadline?.cancel()
    this.#deadline = this.#inFlight.size > 0 ? this.#newDeadline() : undefined
  }

  #newDeadline(): Deadline {
    return new Deadline(this.#responseTimeout, () => {
      for (const command of this.#inFlight) command.reject(timeoutError())
      this.#inFlight.clear()
      this.#deadline = undefined
      this.#connection?.reconnect()
    })
  }

  // Rejects the waiting commands after a permanent error. Otherwise, a read without permission to connect would never
  // end.
  #fail(error: Error): void {
    this.failure = error
    if (!isPermanent(error)) return
    for (const command of this.#waiting.keys()) command.reject(error)
    this.#waiting.clear()
  }
}

class Command {
  readonly args: readonly string[]
  resolve!: (reply: unknown) => void
  reject!: (error: unknown) => void
  readonly reply = new Promise<unknown>((resolve, reject) => {
    this.resolve = resolve
    this.reject = reject
  })

  constructor(args: readonly string[]) {
    this.args = args
  }
}
