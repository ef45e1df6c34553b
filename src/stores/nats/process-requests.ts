import { SseError } from '../../errors.ts'
import { clock } from '../../scheduler/clock.ts'
import { closedError, unusableError } from '../broker/errors.ts'
import type { NatsConnection } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { isTransient } from './errors.ts'
import { flush } from './flush.ts'

// The default of the client for the time between two attempts to reconnect, and how long an attempt may take, in ms.
const RECONNECT_TIME = 2_000
const CONNECT_TIME = 1_000

/** Requests to other processes, which respond if they are alive. */
export class ProcessRequests {
  readonly #connection: NatsConnection
  readonly #monitor: ConnectionMonitor
  // When other processes have reconnected too, by the clock of this process.
  #othersConnectedAt = 0

  constructor(connection: NatsConnection, monitor: ConnectionMonitor) {
    this.#connection = connection
    this.#monitor = monitor
  }

  /** Notes that the connection is back. After an outage of the server, those of other processes follow. */
  onReconnect(): void {
    const { options } = this.#connection as { options?: { reconnectTimeWait?: number } }
    this.#othersConnectedAt = clock.read() + (options?.reconnectTimeWait ?? RECONNECT_TIME) + CONNECT_TIME
  }

  /**
   * Whether a process responds in `wait` ms. Rejects with `SseError` `ERR_SSE_STORE` at once if the connection is down, and if
   * there is no response right after it was.
   */
  async isAnswered(subject: string, payload: string, wait: number): Promise<boolean> {
    if (this.#monitor.isClosed) throw closedError()
    const isAnswered = await this.send(subject, payload, wait).catch((error) => {
      throw unusableError(error)
    })
    if (isAnswered || clock.read() >= this.#othersConnectedAt) return isAnswered
    throw new SseError('ERR_SSE_STORE', 'Other processes may not have reconnected to the broker yet.')
  }

  /**
   * Sends a request. Resolves with false if no process has responded in `wait` ms. Rejects if the connection is down or does
   * not respond itself.
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
