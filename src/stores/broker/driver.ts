import type { StoreState } from '../event-store.ts'

/** A record that only marks a position. Subscribers do not receive it. */
export const NOOP_RECORD = 'place'

/** A published event as a broker keeps it. */
export interface StoredEntry {
  /** The entry's position in the log, and the id of the event. */
  readonly id: string
  readonly channel: string
  /** The text of `encodeRecord`. Untrusted, because other programs may write to the broker too. */
  readonly record: string
  /** When the entry was stored, in ms since 1970. Undefined if the broker does not tell. */
  readonly time?: number | undefined
}

/** Where the log of a broker begins. */
export interface OldestEntry {
  /** A position from which `range` reads. */
  readonly position: string
  /** Whether nothing was ever removed before it. */
  readonly isFirst: boolean
}

/** The store of a driver. */
export interface DriverOwner {
  /** @internal MUST be called with the entries after the last one delivered, in order, whichever process appended them. */
  _onEntries(entries: readonly StoredEntry[]): void
  /** @internal MUST be called if entries before `position`, where the log continues, may be lost. */
  _onLoss(position: string): void
  /** @internal */
  _onState(state: StoreState): void
}

/** A connection to a broker that keeps one ordered log. */
export interface BrokerDriver {
  /**
   * Subscribes to the log. MUST first deliver about `recent` of the newest entries, and resolve with the position of the
   * newest one. MUST reject with `SseError` if no retry can succeed. Called once.
   */
  open(owner: DriverOwner, recent: number): Promise<string>
  /**
   * Appends an entry. MUST resolve with its id once the broker has stored it, or reject with `SseError` `ERR_SSE_STORE`
   * within `publishTimeout`. Without an idempotency key, MUST NOT retry if that could append the entry twice.
   */
  append(channel: string, record: string, idempotencyKey?: string): Promise<string>
  /** Returns at most `limit` entries after a position for which `isId` is true. `'gap'`: the log has no such position. */
  range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'>
  /** Returns where the stored entries begin. */
  oldest(): Promise<OldestEntry>
  /** Whether untrusted text can be a position in this log. */
  isId(text: string): boolean
  /** Returns a number below, above or at 0 if `a` is before, after or at `b`. */
  compare(a: string, b: string): number
  /** Closes the connections that the driver opened. */
  close(): Promise<void>
}
