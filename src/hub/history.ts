import { SseError } from '../errors.ts'
import type { EventStore, History, Page } from '../stores/event-store.ts'
import type { ReplayReads } from './replay-reads.ts'
import type { From } from './subscribe-options.ts'

/** Channels that start together. */
export interface HistoryRequest {
  readonly channels: readonly string[]
  readonly from: From
}

/** Channels that are read together. Others start later, where their earlier entries may have been evicted. */
export interface Stage {
  readonly channels: readonly string[]
  /** Where the next channel starts. Undefined: all have started. */
  readonly end: string | undefined
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
  readonly #reads: ReplayReads
  // Where channels start that have no start of their own.
  readonly #present: string
  readonly #starts = new Map<string, string>()

  constructor(store: EventStore, reads: ReplayReads, present: string) {
    this.#store = store
    this.#reads = reads
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

  /** Returns which of some channels are read after a position, and the position where the next one of them starts. */
  stageAt(position: string, channels: readonly string[]): Stage {
    const started: string[] = []
    let end: string | undefined
    for (const channel of channels) {
      const start = this.#starts.get(channel) ?? this.#present
      if (!this.#isBefore(position, start)) started.push(channel)
      else if (end === undefined || this.#isBefore(start, end)) end = start
    }
    return { channels: started, end }
  }

  /** Returns the part of a page up to where a stage ends. */
  within(page: Exclude<Page, 'gap'>, { end }: Stage): Exclude<Page, 'gap'> {
    if (end === undefined || !this.#isBefore(end, page.upTo)) return page
    return { entries: page.entries.filter(({ id }) => !this.#isBefore(end, id)), upTo: end }
  }

  async #find(channels: readonly string[], from: From): Promise<History> {
    if (typeof from === 'object') return this.#reads.history(channels, from.last)
    if (from === 'start') return this.#reads.history(channels, Number.POSITIVE_INFINITY)
    // Untrusted text is not compared before the store has read it.
    const isUnknown = (await this.#reads.read(channels, from, 1)) === 'gap'
    return { after: isUnknown ? this.#present : from, isIncomplete: isUnknown }
  }

  #isBefore(a: string, b: string): boolean {
    return (this.#store as Required<EventStore>).compare(a, b) < 0
  }
}
