import { diagnosticsChannel } from '../diagnostics.ts'
import type { EventStore, StoreState } from './event-store.ts'

/** The message of `spillway:store:state`. */
export interface StoreStateMessage {
  readonly store: EventStore
  /** The new state, for example `connecting` once the store begins to connect. */
  readonly state: StoreState
}

/** The message of `spillway:store:skip`. */
export interface StoreSkipMessage {
  readonly store: EventStore
  /** The position of the entry in the broker, if it has positions. */
  readonly id: string | undefined
  /** The channel that the entry names. */
  readonly channel: string | undefined
  readonly error: unknown
}

export const storeStateChannel = diagnosticsChannel<StoreStateMessage>('spillway:store:state')
export const storeSkipChannel = diagnosticsChannel<StoreSkipMessage>('spillway:store:skip')
