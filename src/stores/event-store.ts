import type { SseEvent } from '../event/event.ts'
import type { Frame } from '../event/frame.ts'

/** A published event at its place in a log. */
export interface LogEntry {
  /** The place of the entry, and the id of the event: short, ASCII, told to clients. */
  readonly id: string
  readonly channel: string
  /** What was published, for filters. */
  readonly event: SseEvent
  /** The event encoded once, with its id. */
  readonly frame: Frame
}

export interface AppendOptions {
  /**
   * The same key on the same channel within the log's window appends once: the second call resolves with the first
   * one's id.
   */
  readonly idempotencyKey?: string | undefined
  /** Only the newest entry of each key is worth keeping. */
  readonly conflate?: boolean | undefined
}

/** What lies after a place. `'gap'`: it cannot be told, because entries were evicted or the place is none of this log's. */
export type Page =
  | {
      /** Oldest first. */
      readonly entries: readonly LogEntry[]
      /** The place up to which these are all: it is read on from here. */
      readonly upTo: string
    }
  | 'gap'

/** Where the connection to what is behind a log stands. */
export type StoreState = 'connecting' | 'ready' | 'reconnecting' | 'closed'

/** Who follows a log: a hub. */
export interface StoreListener {
  /** Makes an entry of what was published. Throws `SseError` for an event that cannot be encoded. */
  entry(id: string, channel: string, event: SseEvent, options: AppendOptions): LogEntry
  /** Data as the text that goes over the wire. Throws `SseError` `ERR_SSE_DATA`. */
  serialize(data: unknown): string
  /** Is told of every entry, whoever appended it, once and in order. */
  onEntry(entry: LogEntry): void
  /** Is told that entries may be lost between the one told last and `head`, from where the log goes on. */
  onLoss(): void
}

/**
 * Where published events get their id and their order, and can be read again. One log serves one hub; many processes
 * may append to what is behind it.
 */
export interface EventStore {
  /** The place up to which the follower has been told. Of no use while there is a promise in `ready`. */
  readonly position: string
  /** Resolves when the log can be read and followed. Rejects with `SseError` when it never will. Undefined: it can be. */
  readonly ready?: Promise<void> | undefined
  /** Default: `ready`. */
  readonly state?: StoreState
  /** Called once, before anything else. */
  open(follower: StoreListener): void
  /**
   * Resolves with the id of the entry once the log has it. Rejects with `SseError` for an event that cannot be encoded,
   * and then nothing was appended. Appends of one process keep their order.
   */
  append(channel: string, event: SseEvent, options?: AppendOptions): Promise<string>
  /**
   * Reads at most `limit` entries of some channels strictly after a place, of those that the follower has been told of.
   * When nothing lies after it any more, that is answered at once, not by a promise: the caller goes live in the same
   * step, and nothing can come in between. `after` may be a client's input: anything at all.
   */
  read(channels: readonly string[], after: string, limit: number): Page | Promise<Page>
  /** Lets go of its connections; what was appended is kept where it is. */
  close(): Promise<void>
}
