import { awaitShared } from '../../scheduler/await-shared.ts'
import { BaseStore } from '../base-store.ts'
import { storeSkipChannel, storeStateChannel } from '../diagnostics.ts'
import type { EventStore, StoreListener, StoreState } from '../event-store.ts'
import { timeUntil, withSignal } from './deadline.ts'

/** A store behind a connection. It reports its state and the records that it skips. */
export abstract class ConnectedStore extends BaseStore {
  readonly isShared = true
  ready: Promise<void> | undefined
  state: StoreState = 'connecting'
  #started: Promise<void> = Promise.resolve()
  // How many calls of `onceReady` wait. Their promises settle later than `ready`, so a new call waits too.
  #waiting = 0

  override open(listener: StoreListener): void {
    super.open(listener)
    this.#reportState(this.state)
  }

  /** The cause of a start that takes long, if it is known. */
  protected get failure(): unknown {
    return undefined
  }

  /** Sets `ready`. A rejection is reported to each publisher and subscriber, so it is never unhandled. */
  protected start(ready: Promise<void>): void {
    this.ready = ready
    this.#started = ready
    ready.catch(() => {})
  }

  /** Calls `work` once the store is ready, in the order of the calls. Rejects if it is not ready by the deadline. */
  protected async onceReady<T>(deadline: number, work: () => Promise<T>): Promise<T> {
    if (this.ready || this.#waiting > 0) {
      this.#waiting += 1
      try {
        const started = (signal: AbortSignal) => awaitShared(this.#started, signal)
        await withSignal(timeUntil(deadline), started, () => this.failure)
      } finally {
        this.#waiting -= 1
      }
    }
    return work()
  }

  /** Sets and reports the state. `closed` is final. */
  protected setState(state: StoreState): void {
    if (state === this.state || this.state === 'closed') return
    this.state = state
    this.#reportState(state)
  }

  /** Reports a record that is not an event of a hub. */
  protected reportSkip(id: string | undefined, channel: string | undefined, error: unknown): void {
    if (storeSkipChannel.hasSubscribers) storeSkipChannel.publish({ store: this.#store, id, channel, error })
  }

  #reportState(state: StoreState): void {
    if (storeStateChannel.hasSubscribers) storeStateChannel.publish({ store: this.#store, state })
  }

  // Returns this object as the interface that each subclass implements.
  get #store(): EventStore {
    return this as unknown as EventStore
  }
}
