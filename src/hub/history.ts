import { SseError } from '../errors.ts'
import type { EventStore, History } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { From } from './subscribe-options.ts'

/** Channels that start together. */
export interface HistoryRequest {
  readonly channels: readonly string[]
  readonly from: From
}

/** Throws `SseError` `ERR_SSE_OPTION` if a store cannot start channels there. */
export function checkStart(store: EventStore, from: From = 'now'): void {
  if (from === 'now' || (store.compare && store.history)) return
  throw new SseError('ERR_SSE_OPTION', 'from is not supported by this store, because it has no history().')
}

/** Where each channel of a client without a position starts. */
export class HistoryStart {
  /** The earliest start, after which the log is read. */
  position: string
  /** Whether events at a start may have been evicted. */
  isIncomplete = false
  readonly #store: EventStore
  // Where channels start that have no start of their own.
  readonly #present: string
  readonly #starts = new Map<string, string>()

  constructor(store: EventStore, present: string) {
    this.#store = store
    this.#present = present
    this.position = present
  }

  async add({ channels, from }: HistoryRequest): Promise<void> {
    const { after, isIncomplete } = await this.#find(channels, from)
    this.isIncomplete ||= isIncomplete
    // What was published meanwhile is not history.
    const start = this.#isBefore(after, this.#present) ? after : this.#present
    // Of two subscriptions to one channel, the earlier start counts.
    for (const channel of channels)
      if (this.#isBefore(start, this.#starts.get(channel) ?? this.#present)) this.#starts.set(channel, start)
    if (this.#isBefore(start, this.position)) this.position = start
  }

  /** Whether an entry is after the start of its channel. */
  includes({ channel, id }: LogEntry): boolean {
    return this.#isBefore(this.#starts.get(channel) ?? this.#present, id)
  }

  async #find(channels: readonly string[], from: From): Promise<History> {
    if (typeof from === 'object') return this.#history(channels, from.last)
    if (from === 'start') return this.#history(channels, Number.POSITIVE_INFINITY)
    // Untrusted text is not compared before the store has read it.
    const isUnknown = (await this.#store.read(channels, from, 1)) === 'gap'
    return { after: isUnknown ? this.#present : from, isIncomplete: isUnknown }
  }

  #history(channels: readonly string[], last: number): History | Promise<History> {
    return (this.#store as Required<EventStore>).history(channels, last)
  }

  #isBefore(a: string, b: string): boolean {
    return (this.#store as Required<EventStore>).compare(a, b) < 0
  }
}
