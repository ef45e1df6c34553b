import type { TransportChange } from './engine.ts'
import type { Entry } from './shared-entries.ts'

/** The loss of a connection. A final failure without an error is a normal end. */
export interface Failure {
  /** The properties of an error, because cloning it would lose most of them. */
  readonly error: unknown
  readonly isFinal: boolean
}

/** A message of the leader. */
export interface LeaderMessage {
  /** Increases with each leader. */
  readonly term: number
  readonly entries: readonly Entry[]
  /** Position before the entries. */
  readonly after: number
  /** Whether the leader has no entries before these. */
  readonly isWhole: boolean
  /** The last event id at the end of the entries. */
  readonly cursor: string
  /** The transport, while the leader is connected. */
  readonly open: TransportChange | undefined
  readonly failure: Failure | undefined
}

/** A message of a follower. The leader responds with the entries after a position, or with all for an unknown one. */
export interface EntriesRequest {
  readonly end: number
}

/** The part of `BroadcastChannel` that the client uses. */
export interface Channel {
  onmessage: (message: { readonly data: LeaderMessage | EntriesRequest }) => void
  postMessage(message: LeaderMessage | EntriesRequest): void
  close(): void
}

/** Returns a failure that a channel can clone. An application may throw any value, for example a `Response`. */
export function failureOf(error: unknown, isFinal: boolean): Failure {
  const { name, message, code, status, body, retryAfter } = Object(error)
  const properties = Object.entries({ name, message, code, status, body, retryAfter })
  const cloned = properties.filter(([, value]) => /string|number/.test(typeof value))
  return { error: error && { ...Object.fromEntries(cloned), isFinal }, isFinal }
}

/** Returns an error with the properties of a failure, or undefined if it has none. */
export function errorOf({ error }: Failure): unknown {
  return error && Object.assign(new Error(), error)
}
