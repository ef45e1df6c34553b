import { storeSkipChannel, storeStateChannel } from '../../diagnostics.ts'
import { BaseStore } from '../base-store.ts'
import type { StoreState } from '../event-store.ts'

/** A store behind a connection. It reports its state and the records that it skips. */
export abstract class ConnectedStore extends BaseStore {
  ready: Promise<void> | undefined
  state: StoreState = 'connecting'

  /** Sets `ready`. A rejection is reported to each publisher and subscriber, so it is never unhandled. */
  protected start(ready: Promise<void>): void {
    this.ready = ready
    ready.catch(() => {})
  }

  /** Sets and reports the state. `closed` is final. */
  protected setState(state: StoreState): void {
    if (state === this.state || this.state === 'closed') return
    this.state = state
    if (storeStateChannel.hasSubscribers) storeStateChannel.publish({ store: this, state })
  }

  /** Reports a record that is not an event of a hub. */
  protected reportSkip(id: string | undefined, channel: string | undefined, error: unknown): void {
    if (storeSkipChannel.hasSubscribers) storeSkipChannel.publish({ store: this, id, channel, error })
  }
}
