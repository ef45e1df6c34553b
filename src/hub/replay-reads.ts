import { isPromise } from '../event/source.ts'
import { awaitShared } from '../scheduler/await-shared.ts'
import type { EventStore, History, Page, StoreReader } from '../stores/event-store.ts'
import type { ReplayedClient } from './replayed-client.ts'

/** The reads of one replay. A pending one ends when its client needs no further page. */
export class ReplayReads implements StoreReader {
  room = 0
  /** See `StoreReader.startOf`. */
  startOf?: (channel: string) => string | undefined
  readonly #client: ReplayedClient
  readonly #store: EventStore
  // Created when a store reads it, because most reads are synchronous.
  #controller: AbortController | undefined
  #isStopped = false

  constructor(client: ReplayedClient, store: EventStore) {
    this.#client = client
    this.#store = store
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isStopped) this.#controller.abort()
    return this.#controller.signal
  }

  /** Resolves with the promise of a store that becomes ready. Rejects when no page is needed any more. */
  whenReady(ready: Promise<void>): Promise<void> {
    return awaitShared(ready, this.signal)
  }

  /** Reads a page as the store does. A promise rejects when the page is not needed any more. */
  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page> {
    return this.#whileNeeded(this.#store.read(channels, after, limit, this))
  }

  /** Returns where the newest entries of some channels begin. A promise rejects as that of `read` does. */
  history(channels: readonly string[], last: number): History | Promise<History> {
    return this.#whileNeeded((this.#store as Required<EventStore>).history(channels, last, this.signal))
  }

  /**
   * Returns whether some channels have entries after one position, up to a later one. `gap`: entries after the later
   * one were evicted, so that it is unknown.
   */
  async hasBetween(after: string, upTo: string, channels: readonly string[]): Promise<boolean | 'gap'> {
    const first = await this.#firstIdAfter(after, channels)
    if (first === undefined) return false
    const next = await this.#firstIdAfter(upTo, channels)
    return next === 'gap' ? next : next !== first
  }

  /** Aborts a pending read. */
  stop(): void {
    this.#isStopped = true
    this.#controller?.abort()
  }

  /** Returns the id of the first entry of some channels after a position, or undefined if there is none. */
  async #firstIdAfter(position: string, channels: readonly string[]): Promise<string | 'gap' | undefined> {
    for (let after = position; ; ) {
      const result = this.read(channels, after, 1)
      const page = await result
      if (page === 'gap') return 'gap'
      // A synchronous empty page is the end of the log.
      if (page.entries[0] || page === result) return page.entries[0]?.id
      after = page.upTo
    }
  }

  #whileNeeded<T>(result: T | Promise<T>): T | Promise<T> {
    return isPromise(result) ? this.#settled(result) : result
  }

  // A store may never settle a read that was aborted.
  async #settled<T>(result: Promise<T>): Promise<T> {
    const { _connection: connection } = this.#client.stream
    let isSettled = false
    const onSettled = () => {
      isSettled = true
      connection.notify()
    }
    result.then(onSettled, onSettled)
    await connection.waitUntil(() => isSettled || !this.#client.isActive)
    if (this.#client.isActive) return result
    this.stop()
    throw this.signal.reason
  }
}
