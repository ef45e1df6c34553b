import { Waiters } from '../../condition.ts'
import { late } from '../broker/deadline.ts'
import type { NatsConnection } from './client.ts'
import { LinkLost } from './errors.ts'

type Statuses = ReturnType<NatsConnection['status']> & { stop?(): void }

/** Whether the user's connection is up: it is watched, and left as it is. */
export class Link {
  isUp: boolean
  isClosed: boolean
  readonly #statuses: Statuses
  readonly #onChange: () => void
  readonly #changed = new Waiters()
  readonly #cut = new Set<() => void>()

  constructor(connection: NatsConnection, onChange: () => void) {
    this.isClosed = connection.isClosed()
    this.isUp = !this.isClosed
    this.#onChange = onChange
    this.#statuses = connection.status()
    void this.#watch()
  }

  /** Resolves when the connection is up, or closed for good. */
  settled(): Promise<void> {
    return this.#changed.until(() => this.isUp || this.isClosed)
  }

  /**
   * What is asked on a connection is not answered on the next one: rejects with `LinkLost` when it goes, and with
   * `SseError` `ERR_SSE_LOG` after a time.
   */
  during<T>(ask: () => Promise<T>, timeout?: number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.isUp) return reject(new LinkLost())
      const end = (settle: () => void) => {
        clearTimeout(timer)
        this.#cut.delete(cut)
        settle()
      }
      const fail = (error: unknown) => end(() => reject(error))
      const cut = () => fail(new LinkLost())
      const timer = timeout === undefined ? undefined : setTimeout(() => fail(late()), timeout)
      this.#cut.add(cut)
      ask().then((answer) => end(() => resolve(answer)), fail)
    })
  }

  /** Resolves after a time, in ms, or when the connection goes or comes. */
  async pause(time: number): Promise<void> {
    await this.during(() => new Promise(() => {}), time).catch(() => {})
  }

  /** Watches no more. The connection is the user's. */
  close(): void {
    this.#statuses.stop?.()
    this.#change(false, true)
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#statuses) {
      if (type === 'disconnect') this.#change(false)
      else if (type === 'reconnect') this.#change(true)
    }
    this.#change(false, true)
  }

  #change(isUp: boolean, isClosed = this.isClosed): void {
    this.isUp = isUp && !isClosed
    this.isClosed = isClosed
    // Also when it comes back: that it was away may be news.
    for (const cut of [...this.#cut]) cut()
    this.#onChange()
    this.#changed.notify()
  }
}
