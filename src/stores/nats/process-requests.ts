import { closedError, unusableError } from '../broker/errors.ts'
import { ReconnectWindow } from '../broker/reconnect-window.ts'
import type { NatsConnection } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { isTransient } from './errors.ts'
import { flush } from './flush.ts'

// The default of the client for the time between two attempts to reconnect, in ms.
const RECONNECT_TIME = 2_000

/** Requests to other processes, which respond if they are alive. */
export class ProcessRequests {
  readonly #connection: NatsConnection
  readonly #monitor: ConnectionMonitor
  readonly #window = new ReconnectWindow()

  constructor(connection: NatsConnection, monitor: ConnectionMonitor) {
    this.#connection = connection
    this.#monitor = monitor
  }

  /** Notes a reconnect. After an outage of the server, other processes reconnect a little later. */
  onReconnect(): void {
    const { options } = this.#connection as { options?: { reconnectTimeWait?: number } }
    this.#window.open(options?.reconnectTimeWait ?? RECONNECT_TIME)
  }

  /**
   * Whether a process responds within `wait` ms. Rejects with `SseError` `ERR_SSE_STORE` at once if the connection is
   * down, and if there is no response right after a reconnect.
   */
  async isAnswered(subject: string, payload: string, wait: number): Promise<boolean> {
    if (this.#monitor.isClosed) throw closedError()
    const isAnswered = await this.send(subject, payload, wait).catch((error) => {
      throw unusableError(error)
    })
    return this.#window.confirm(isAnswered)
  }

  /**
   * Sends a request. Resolves with false if no process has responded within `wait` ms. Rejects if the connection is
   * down or the server does not respond.
   */
  async send(subject: string, payload: string, wait: number): Promise<boolean> {
    // NATS would reject the request before a response that waits in the socket is read.
    const options = { timeout: 3 * wait }
    try {
      await this.#monitor.whileConnected(() => this.#connection.request(subject, payload, options), wait)
      return true
    } catch (error) {
      if (isWithoutResponders(error)) return false
      if (!isTransient(error) || !this.#monitor.isUp) throw error
    }
    await flush(this.#connection, this.#monitor, wait)
    return false
  }
}

function isWithoutResponders(error: unknown): boolean {
  const { name, cause } = Object(error) as { name?: string; cause?: { name?: string } }
  return name === 'RequestError' && cause?.name === 'NoResponders'
}
