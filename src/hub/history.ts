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
  // The channels that are read, and the others with their starts, the next one last. Built by the first stage.
  readonly #started = new Set<string>()
  #waiting: Array<readonly [channel: string, start: string]> | undefined

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

  /**
   * Returns which of some channels are read after a position, and the position where the next one of them starts. The
   * position MUST NOT be before that of an earlier call.
   */
  stageAt(position: string, channels: readonly string[]): Stage {
    if (!this.#isBefore(position, this.#present)) return { channels, end: undefined }
    this.#waiting ??= [...this.#starts].sort(([, a], [, b]) => this.#compare(b, a))
    for (
      let next = this.#waiting.at(-1);
      next && !this.#isBefore(position, next[1]);
      next = this.#waiting.at(-1)
    ) {
      this.#started.add(next[0])
      this.#waiting.pop()
    }
    const started = channels.filter((channel) => this.#started.has(channel))
    return {
      channels: started,
      end: started.length < channels.length ? this.#nextStart(channels) : undefined,
    }
  }

  #nextStart(channels: readonly string[]): string {
    const subscribed = new Set(channels)
    return this.#waiting?.findLast(([channel]) => subscribed.has(channel))?.[1] ?? this.#present
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
    return this.#compare(a, b) < 0
  }

  #compare(a: string, b: string): number {
    return (this.#store as Required<EventStore>).compare(a, b)
  }
}
