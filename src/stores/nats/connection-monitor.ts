import { Condition } from '../../condition.ts'
import { Deadline } from '../../scheduler/deadline.ts'
import type { NatsConnection } from './client.ts'
import { TransientError } from './errors.ts'

type Statuses = ReturnType<NatsConnection['status']> & { stop?(): void }

/** Watches whether the user's connection is up. */
export class ConnectionMonitor {
  isUp: boolean
  isClosed: boolean
  readonly #statuses: Statuses
  readonly #onChange: () => void
  readonly #changed = new Condition()
  readonly #pending = new Set<() => void>()

  constructor(connection: NatsConnection, onChange: () => void) {
    this.isClosed = connection.isClosed()
    this.isUp = !this.isClosed
    this.#onChange = onChange
    this.#statuses = connection.status()
    void this.#watch()
  }

  /** Resolves when the connection is up, or closed permanently. */
  whenSettled(): Promise<void> {
    return this.#changed.until(() => this.isUp || this.isClosed)
  }

  /**
   * Awaits a request. A response cannot arrive on a later connection, so this rejects with `TransientError` when the
   * connection is lost, and after `timeout`.
   */
  whileConnected<T>(request: () => Promise<T>, timeout?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isUp) return reject(lost())
      const end = (settle: () => void) => {
        deadline?.cancel()
        this.#pending.delete(onChange)
        settle()
      }
      const fail = (error: unknown) => end(() => reject(error))
      const onChange = () => fail(lost())
      const deadline =
        timeout === undefined
          ? undefined
          : new Deadline(timeout, () => fail(new TransientError('no response was received in time')))
      this.#pending.add(onChange)
      request().then((response) => end(() => resolve(response)), fail)
    })
  }

  /** Resolves after a time, in ms, or when the connection is lost or back. */
  async pause(time: number): Promise<void> {
    await this.whileConnected(() => new Promise(() => {}), time).catch(() => {})
  }

  /** Stops watching. The user's connection stays open. */
  close(): void {
    this.#statuses.stop?.()
    this.#update(false, true)
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#statuses) {
      if (type === 'disconnect') this.#update(false)
      else if (type === 'reconnect') this.#update(true)
    }
    this.#update(false, true)
  }

  #update(isUp: boolean, isClosed = this.isClosed): void {
    this.isUp = isUp && !isClosed
    this.isClosed = isClosed
    // Also when the connection is back, because its loss may not have been reported.
    for (const fail of [...this.#pending]) fail()
    this.#onChange()
    this.#changed.notify()
  }
}

function lost(): TransientError {
  return new TransientError('the connection was lost')
}
