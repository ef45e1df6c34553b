import type { StoredEntry, StoredRange } from '../broker/driver.ts'

/** Sends a command, and resolves with the reply. */
export type Ask = (...command: string[]) => Promise<unknown>

/** The result of a read at a position that no entry has. */
export interface Missing {
  /** The id of the first entry, if it is known. */
  readonly first: string | undefined
}

export interface PageLimits {
  readonly entries: number
  /** Bytes of the entries. A larger entry is returned alone. */
  readonly bytes: number
}

/** One step of a search from newer to older entries. */
export interface SearchStep {
  /** The position at which the step ended. Undefined if there was no entry. */
  readonly id: string | undefined
  /** How many entries are still to be found. */
  readonly left: number
  readonly searched: number
  /**
   * `more`: a limit was reached. `found`: `id` is directly before the last one. `first`: the log begins with its no-op
   * record. `trimmed`: the log begins, but that record was removed.
   */
  readonly end: 'more' | 'found' | 'first' | 'trimmed'
}

/** The reads of one stream. Each is bounded in what Redis reads and sends. */
export interface StreamReads {
  /** Returns the entries after a position up to and including `upTo`. Rejects with `StaleServerError`. */
  range(ask: Ask, after: string, upTo: string, limits: PageLimits): Promise<StoredRange | Missing>
  /** Returns whether an entry has a position. */
  find(ask: Ask, position: string): Promise<true | Missing>
  /** Returns the newest entries from a bound of XREVRANGE on, newest first. */
  newest(ask: Ask, from: string, limits: PageLimits): Promise<StoredEntry[]>
  /** Searches back from a bound of XREVRANGE for `left` entries of some channels. */
  search(
    ask: Ask,
    from: string,
    channels: ReadonlySet<string>,
    left: number,
    limit: number,
  ): Promise<SearchStep>
  /** Returns the id of the first entry, and whether that is the no-op record with which a log begins. */
  first(ask: Ask): Promise<{ readonly id: string; readonly isNoop: boolean } | undefined>
  /** Returns the newest id ever assigned, or undefined if the key does not exist. */
  lastId(ask: Ask): Promise<string | undefined>
}
