import { Deadline } from '../../scheduler/deadline.ts'
import type { NatsConnection, Statuses } from './client.ts'
import { TransientError } from './errors.ts'

interface Settle<T> {
  resolve(value: T): void
  reject(error: unknown): void
}

/** Tracks whether the user's connection is up. */
export class ConnectionMonitor {
  isUp: boolean
  isClosed: boolean
  readonly #statuses: Statuses
  readonly #onChange: () => void
  readonly #waiting = new Set<() => unknown>()

  constructor(connection: NatsConnection, onChange: () => void) {
    this.isClosed = connection.isClosed()
    this.isUp = !this.isClosed
    this.#onChange = onChange
    this.#statuses = connection.status()
    void this.#watch()
  }

  /** Resolves when the connection is up, or closed permanently. Rejects when a signal is aborted. */
  async whenSettled(signal?: AbortSignal): Promise<void> {
    while (!this.isUp && !this.isClosed) {
      await this.#untilChange<void>(({ resolve }) => resolve, undefined, signal)
    }
  }

  /**
   * Awaits a request. A response cannot arrive on a later connection, so this rejects with `TransientError` when the
   * connection is lost, and after `timeout`. Rejects with the reason of a signal when it is aborted.
   */
  whileConnected<T>(request: () => Promise<T>, timeout?: number, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (!this.isUp) return Promise.reject(lost())
    const start = ({ resolve, reject }: Settle<T>) => {
      request().then(resolve, reject)
      return () => reject(lost())
    }
    return this.#untilChange(start, timeout, signal)
  }

  /** Resolves after a time, in ms, or when the connection is lost or restored. */
  async pause(time: number): Promise<void> {
    await this.whileConnected(() => new Promise(() => {}), time).catch(() => {})
  }

  /** Resolves after a time, in ms, or when the connection is closed or a signal is aborted. */
  async delay(time: number, signal: AbortSignal): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const start = ({ resolve }: Settle<void>) => {
      timer = setTimeout(resolve, time)
      return () => this.isClosed && resolve()
    }
    if (!this.isClosed && !signal.aborted) await this.#untilChange(start, undefined, signal).catch(() => {})
    clearTimeout(timer)
  }

  /** Stops watching. The user's connection stays open. */
  close(): void {
    this.#statuses.stop?.()
    if (!this.isClosed) this.#update(false, true)
  }

  /** Starts a wait. `start` returns the function that is called at the next change of the connection. */
  #untilChange<T>(
    start: (settle: Settle<T>) => () => unknown,
    timeout: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        deadline?.cancel()
        this.#waiting.delete(onChange)
        signal?.removeEventListener('abort', onAbort)
        settle()
      }
      const fail = (error: unknown) => end(() => reject(error))
      const onAbort = () => fail(signal?.reason)
      const onTimeout = () => fail(new TransientError('no response was received in time'))
      const deadline = timeout === undefined ? undefined : new Deadline(timeout, onTimeout)
      signal?.addEventListener('abort', onAbort)
      const onChange = start({ resolve: (value) => end(() => resolve(value)), reject: fail })
      this.#waiting.add(onChange)
    })
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
    // A reconnect also ends the waits, because the loss before it may not have been reported.
    for (const onChange of [...this.#waiting]) onChange()
    this.#onChange()
  }
}

function lost(): TransientError {
  return new TransientError('the connection was lost')
}
