import { closedError } from '../broker/errors.ts'
import type { MessageListener, RedisConnection } from './connection.ts'
import { isRejection } from './errors.ts'
import type { Redirection } from './redirection.ts'
import type { Topology } from './topology.ts'

export interface LinkListener {
  onLost(): void
  onError(error: Error): void
}

/** The connection to one server of a topology. It does not reconnect. */
export class ServerLink {
  /** Resolves when the server accepts commands. */
  readonly ready: Promise<void>
  readonly isAsking: boolean
  /** How many commands wait for a response. */
  inFlight = 0
  readonly #closing = new AbortController()
  #connection: RedisConnection | undefined

  constructor(topology: Topology, redirection: Redirection | undefined, listener: LinkListener) {
    this.isAsking = redirection?.isAsking ?? false
    this.ready = new Promise((resolve, reject) => {
      const { signal } = this.#closing
      signal.addEventListener('abort', () => reject(signal.reason))
      const onLost = () => {
        reject(closedError())
        listener.onLost()
      }
      const events = { onReady: resolve, onLost, onError: listener.onError }
      topology.open(events, signal, redirection?.address).then((connection) => {
        this.#connection = connection
        if (signal.aborted) connection.close()
      }, reject)
    })
    this.ready.catch(() => {})
  }

  get isReady(): boolean {
    return !this.#closing.signal.aborted && this.#connection?.isReady === true
  }

  command(...args: string[]): Promise<unknown> {
    return this.#use((connection) => {
      // If only the second command arrives, the server redirects it.
      if (this.isAsking) connection.command('ASKING').catch(() => {})
      return connection.command(...args)
    })
  }

  subscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    return this.#use((connection) => connection.subscribe(channels, listener))
  }

  unsubscribe(channels: readonly string[], listener: MessageListener): Promise<void> {
    return this.#use((connection) => connection.unsubscribe(channels, listener))
  }

  close(): void {
    this.#closing.abort(closedError())
    this.#connection?.close()
  }

  async #use<T>(work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    if (!this.#connection || !this.isReady) throw new Error('The connection is offline.')
    this.inFlight += 1
    try {
      return await work(this.#connection)
    } catch (cause) {
      // After a close, ioredis reports the command like one that was not sent.
      if (this.#closing.signal.aborted && !isRejection(cause as Error))
        throw new Error('The connection was replaced before the response.', { cause })
      throw cause
    } finally {
      this.inFlight -= 1
    }
  }
}
