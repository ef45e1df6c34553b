import type { TransportChange } from './engine.ts'
import type { Entry } from './share-line.ts'

/** A call of a listener. In a message, an error is an object with its properties, because a clone would lose them. */
export type Call =
  | readonly ['onOpen', TransportChange]
  | readonly ['onError', unknown, boolean]
  | readonly ['onEnd']

/** A message of the leader. */
export interface LeaderMessage {
  /** Grows with each leader. */
  readonly term: number
  readonly entries: readonly Entry[]
  /** Position before the entries. */
  readonly after: number
  /** Whether the leader keeps nothing before the entries. */
  readonly isWhole: boolean
  /** The last event id at the end of the entries. */
  readonly cursor: string
  /** The transport, while the leader is connected. */
  readonly open: TransportChange | undefined
  /** A call that followers repeat. */
  readonly call: Call | undefined
}

/** A message of a follower. The leader sends the entries after a position, or all entries if it does not know it. */
export interface EntriesRequest {
  readonly end: number
}

/** The part of `BroadcastChannel` that the client uses. */
export interface Channel {
  onmessage: (message: { readonly data: LeaderMessage | EntriesRequest }) => void
  postMessage(message: LeaderMessage | EntriesRequest): void
  close(): void
}
