import type { LogEntry, Publication } from './log-entry.ts'

/** The entries after a position, or `'gap'` if some were evicted or the position is not one of this store. */
export type Page =
  | {
      /** Oldest first. */
      readonly entries: readonly LogEntry[]
      /** `entries` are complete up to this position. The next page is read after it. */
      readonly upTo: string
    }
  | 'gap'

/** The state of the connection of a store, for example to Redis. */
export type StoreState = 'connecting' | 'ready' | 'reconnecting' | 'closed'

/** Where the stored entries of some channels begin. */
export interface History {
  /** The position after which the entries are read. */
  readonly after: string
  /** Whether earlier entries of these channels may have been evicted. */
  readonly isIncomplete: boolean
}

/** The client for which a store is read. All reads of one replay pass the same object. */
export interface StoreReader {
  /**
   * How many bytes on the wire the client has room for. A page MAY end before an entry that exceeds them, but not
   * before its first entry.
   */
  readonly room: number
  /**
   * Returns the position at which a channel starts for the client, or undefined if it has started. The client is not
   * sent earlier entries of the channel. A store that evicts each channel separately SHOULD NOT return a gap because of
   * them.
   */
  startOf?(channel: string): string | undefined
  /** Aborted when the client needs no further page. A read for which no client waits is dropped. */
  readonly signal: AbortSignal
}

/** The reads of a store that clients wait for. */
export interface ReadQueue {
  /** How many clients wait for a page. */
  readonly waiting: number
  /** How many reads are in flight. */
  readonly running: number
  /** How many bytes are in flight and kept. */
  readonly bytes: number
  /** How long the first of these clients has waited, in ms. */
  readonly oldest: number
}

/** The hub that receives the entries of a store. */
export interface StoreListener {
  /** MUST be called for every entry, whichever process appended it, once and in the order of the log. */
  onEntry(entry: LogEntry): void
  /**
   * MUST be called before `ready` resolves, for the entries that the store has read until then, if several processes
   * append to the log. The hub carries out the requests of other processes, such as `closeStreams`. MUST NOT be called
   * for an entry that is passed to `onEntry`.
   */
  onStored?(entry: LogEntry): void
  /**
   * MUST be called if entries after the last one passed to `onEntry` may be lost. `position` is then the position at
   * which the log continues.
   */
  onLoss(): void
}

/**
 * Assigns the ids and the order of published events, and keeps them so that they can be read again. A store belongs to
 * one hub. Several processes MAY append to the same log.
 */
export interface EventStore {
  /** Position of the last entry passed to `onEntry`. Meaningless until `ready` has resolved. */
  readonly position: string
  /**
   * MUST resolve when the store can be read, and reject with `SseError` when it never can. MUST be undefined from then
   * on. A store that needs no connection MAY leave it out.
   */
  readonly ready?: Promise<void> | undefined
  /** Default: `ready`. */
  readonly state?: StoreState
  /** Whether several processes MAY append to the log of the store. Default false. */
  readonly isShared?: boolean
  /** The reads that clients wait for. A store in memory has none. */
  readonly reads?: ReadQueue
  /** Called once, before anything else. MUST throw `SseError` `ERR_SSE_OPTION` if it is called again. */
  open(listener: StoreListener): void
  /**
   * Appends a publication. MUST resolve with the id of the entry once the entry is stored, and reject with `SseError`
   * otherwise. MUST keep the order of the calls of one process.
   */
  append(publication: Publication): Promise<string>
  /**
   * Returns at most `limit` entries of some channels strictly after a position, of those passed to `onEntry`. If there
   * are none, MUST return the empty page synchronously. The hub then goes live in the same tick, so no entry can be
   * missed in between. `after` is untrusted client input. For a position that the store does not have, MUST return
   * `'gap'` without reading entries. MAY reject with `SseError` `ERR_SSE_OVERLOAD`, so that the client is closed and
   * reconnects later.
   */
  read(channels: readonly string[], after: string, limit: number, reader?: StoreReader): Page | Promise<Page>
  /** Returns a number below, above or at 0 if position `a` is before, after or at `b`. Needed for the option `from`. */
  compare?(a: string, b: string): number
  /**
   * Returns where the `last` newest entries of some channels begin. `Infinity` selects all of them. Needed for the
   * option `from`.
   */
  history?(channels: readonly string[], last: number, signal?: AbortSignal): History | Promise<History>
  /**
   * Returns how close a position is to a gap, from 0 if no entry after it is stored, to 1 where it may be evicted. Only
   * entries of these channels count, if the store evicts them separately. Without channels, all entries count. Without
   * this method, clients are sent more positions.
   */
  staleness?(position: string, channels: readonly string[]): number
  /** MUST close the connections that the store opened. Appended entries MAY be kept. `read` then returns `'gap'`. */
  close(): Promise<void>
}

/** A store that reads older events from a broker. */
export interface BrokerEventStore extends EventStore {
  readonly reads: ReadQueue
}
