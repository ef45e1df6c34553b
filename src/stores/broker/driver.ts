import type { StoreState } from '../event-store.ts'

/** The record of an entry that marks a place, and tells nothing. */
export const NOOP_RECORD = 'place'

/** A published event as a broker keeps it. */
export interface StoredEntry {
  /** Its place in the log, and the id of the event. */
  readonly id: string
  readonly channel: string
  /** What `encodeRecord` made. A broker holds what other programs wrote too: anything at all. */
  readonly record: string
}

/** What an engine tells its log. */
export interface DriverOwner {
  /** @internal Entries that follow the last told one, in their order, whoever appended them. */
  _onEntries(entries: readonly StoredEntry[]): void
  /** @internal It goes on from `head`, and entries before that may have been lost. */
  _onLoss(head: string): void
  /** @internal */
  _onState(state: StoreState): void
}

/** A broker that keeps one ordered log. */
export interface BrokerDriver {
  /**
   * Begins to follow, and tells the newest entries that there are, about `recent` of them. Resolves with the place of the
   * newest: what comes after it is told. Rejects with `SseError` for what no second try can mend. Called once.
   */
  open(owner: DriverOwner, recent: number): Promise<string>
  /**
   * Appends. Resolves with the id once the broker has it. Rejects with `SseError` `ERR_SSE_STORE` within a bound of time.
   * With an idempotency key it tries again by itself; without one, never where that could append it twice.
   */
  append(channel: string, record: string, idempotencyKey?: string): Promise<string>
  /** At most `limit` entries after a place that `isId`. `'gap'`: the place is no longer, or never was, in the log. */
  range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'>
  /** Whether a text can be a place in this log. It is a client's input. */
  isId(text: string): boolean
  /** Below, above or at 0, as a place is before, after or at another one. */
  compare(a: string, b: string): number
  /** Lets go of the connections that are the engine's own. */
  close(): Promise<void>
}
