import type { History, StoreState } from '../event-store.ts'

/** Returns a number below, above or at 0 if position `a` is before, after or at `b`. */
export type Compare = (a: string, b: string) => number

/** A record that only marks a position. Subscribers do not receive it. */
export const NOOP_RECORD = 'place'

/** A published event as a broker keeps it. */
export interface StoredEntry {
  /** The entry's position in the log, and the id of the event. */
  readonly id: string
  readonly channel: string
  /** The text of `encodeRecord`. Untrusted, because other programs may write to the broker too. */
  readonly record: string
  /** When the entry was stored, in ms since 1970. Undefined if the broker does not state it. */
  readonly time?: number | undefined
}

/** The limits of a read of a log. */
export interface RangeLimits {
  /** The last position to read, which the log has. */
  readonly upTo: string
  readonly entries: number
  /** Bytes of the records. A larger entry is returned alone. MUST also limit what is requested from the broker. */
  readonly bytes: number
}

/** A part of a log. */
export interface StoredRange {
  /** Oldest first. */
  readonly entries: readonly StoredEntry[]
  /** The position up to which they are complete: `upTo`, or that of the last entry at a limit. Never `after`. */
  readonly end: string
}

/** The beginning of a broker's log. */
export interface OldestEntry {
  /** A position from which `range` reads. */
  readonly position: string
  /** Whether no entry before it was ever removed. */
  readonly isFirst: boolean
}

/** How many of the newest entries are delivered at the start. */
export interface RecentLimits {
  readonly entries: number
  readonly bytes: number
}

/** The store of a driver. */
export interface DriverOwner {
  /**
   * @internal MUST be called with the entries after the last one delivered, in order, whichever process appended them.
   */
  _onEntries(entries: readonly StoredEntry[]): void
  /** @internal MUST be called if entries before `position`, where the log continues, may be lost. */
  _onLoss(position: string): void
  /** @internal */
  _onState(state: StoreState): void
}

/** A connection to a broker that keeps one ordered log. */
export interface BrokerDriver {
  /** The last failure after which `open` retries. */
  readonly failure?: unknown
  /**
   * Subscribes to the log. MUST first deliver about as many of the newest entries as the limits allow, and resolve with
   * the position of the newest one. The bytes requested at a time MUST be bounded. MUST reject with `SseError` if no
   * retry can succeed. Called once.
   */
  open(owner: DriverOwner, recent: RecentLimits): Promise<string>
  /**
   * Appends an entry. MUST resolve with its id once the broker has stored it, or reject with `SseError` `ERR_SSE_STORE`
   * within `publishTimeout`. Without an idempotency key, MUST NOT retry if that could append the entry twice.
   */
  append(channel: string, record: string, idempotencyKey?: string): Promise<string>
  /**
   * Returns entries after a position for which `isId` is true. `'gap'`: the log does not have this position, which MUST
   * be determined without reading entries. Retries with a jittered back-off during an outage, until it is aborted.
   */
  range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'>
  /** Returns the same for one channel, if the broker can read a channel separately. */
  channelRange?(
    channel: string,
    after: string,
    limits: RangeLimits,
    signal: AbortSignal,
  ): Promise<StoredRange | 'gap'>
  /** Returns how many entries a range has at most, if the broker numbers its entries. */
  distance?(after: string, upTo: string): number
  /** Returns the position this many entries before, or the known beginning of the log, if entries are numbered. */
  back?(position: string, entries: number): string
  /** Whether the log has a position for which `isId` is true. MUST NOT read an entry. Retries like `range`. */
  has(position: string, signal: AbortSignal): Promise<boolean>
  /**
   * Searches the start of the `last` newest entries of some channels up to a position, including the entry at it.
   * Searches at most `maxEntries` entries of the log, and reports earlier ones as incomplete. Retries like `range`.
   */
  historyBefore(
    position: string,
    channels: ReadonlySet<string>,
    last: number,
    maxEntries: number,
    signal: AbortSignal,
  ): Promise<History>
  /** Returns the beginning of the stored entries. Retries like `range`. */
  oldest(signal: AbortSignal): Promise<OldestEntry>
  /** Whether an untrusted text can be a position in this log. */
  isId(text: string): boolean
  readonly compare: Compare
  /** Whether a position is known to be evicted, so that no lookup is needed. Default: unknown. */
  isEvicted?(position: string): boolean
  /** Closes the connections that the driver opened. */
  close(): Promise<void>
}
