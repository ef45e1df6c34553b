import { SseError } from '../errors.ts'
import type { EventStore, History, Page } from '../stores/event-store.ts'
import type { CatchUpOwner } from './catch-up-owner.ts'
import type { ReplayReads } from './replay-reads.ts'
import { StartOrder } from './start-order.ts'
import type { From } from './subscribe-options.ts'

/** Channels that start together. */
export interface HistoryRequest {
  readonly channels: readonly string[]
  readonly from: From
}

/**
 * Channels that are read together. The other channels are read from their later starts, because their earlier entries
 * may have been evicted.
 */
export interface Stage {
  readonly channels: readonly string[]
  /** The position where the next channel starts. Undefined if all channels are read. */
  readonly end: string | undefined
}

/** Sends a client its position. */
export type PositionSender = Pick<CatchUpOwner, '_sendPosition'>

/** Throws `SseError` `ERR_SSE_OPTION` if a store does not support a start. */
export function checkStart(store: EventStore, from: From = 'now'): void {
  if (from === 'now' || (store.compare && store.history)) return
  throw new SseError('ERR_SSE_OPTION', 'from is not supported by this store, because it has no history().')
}

/** The start of each channel of a client without a position. */
export class HistoryStart {
  /** Whether events at a start may have been evicted. */
  isIncomplete = false
  readonly #store: EventStore
  readonly #reads: ReplayReads
  readonly #owner: PositionSender
  // The start of channels without a start of their own. It may be an id that only another process had delivered,
  // because everything up to it was published before the client connected.
  #present: string
  readonly #starts = new Map<string, string>()
  #earliest: string | undefined
  // Built by the first stage.
  #order: StartOrder | undefined
  // How many starts after the position a stage covers. Each stage visits all channels, so that a stage for each of
  // thousands of starts would be quadratic.
  #ahead = 0
  #mayWiden = true

  constructor(store: EventStore, reads: ReplayReads, present: string, owner: PositionSender) {
    this.#store = store
    this.#reads = reads
    this.#present = present
    this.#owner = owner
  }

  /** The earliest start, after which the log is read. */
  get position(): string {
    return this.#earliest ?? this.#present
  }

  async add({ channels, from }: HistoryRequest): Promise<void> {
    const { after, isIncomplete } = await this.#find(channels, from)
    this.isIncomplete ||= isIncomplete
    if (after === from && this.#isBefore(this.#present, after)) this.#present = after
    // Events published meanwhile are not history.
    const start = this.#isBefore(after, this.#present) ? after : this.#present
    // Of two subscriptions to one channel, the earlier start counts.
    for (const channel of channels) {
      const other = this.#starts.get(channel)
      if (other === undefined || this.#isBefore(start, other)) this.#starts.set(channel, start)
    }
    if (this.#isBefore(start, this.position)) this.#earliest = start
  }

  /**
   * Returns the channels that are read after a position, and the position where the next channel starts. The position
   * MUST NOT be before that of an earlier call.
   */
  stageAt(position: string, channels: readonly string[]): Stage {
    if (!this.#isBefore(position, this.#present)) return { channels, end: undefined }
    this.#order ??= this.#begin()
    this.#order.passTo(position)
    return this.#order.stage(channels, this.#ahead)
  }

  /**
   * Sends the client the last start up to a position as its position, if no earlier call passed it. A client that
   * resumes there receives no events of a channel before its start. Returns whether it was sent.
   */
  passTo(position: string): boolean {
    return this.#send(this.#order?.passTo(position))
  }

  /** Sends the last start before a position, as `passTo` does. */
  passBefore(position: string): boolean {
    return this.#send(this.#order?.passBefore(position))
  }

  /**
   * Returns whether the gap of a page may concern only channels before their start. The next stage then has no such
   * channel.
   */
  narrow(): boolean {
    const isWide = this.#ahead > 0
    this.#ahead = 0
    this.#mayWiden = false
    return isWide
  }

  /** Returns the part of a page up to the end of a stage, without entries before the starts of their channels. */
  within(page: Exclude<Page, 'gap'>, { end }: Stage): Exclude<Page, 'gap'> {
    const isOver = end !== undefined && this.#isBefore(end, page.upTo)
    const all = isOver ? page.entries.filter(({ id }) => !this.#isBefore(end, id)) : page.entries
    const upTo = isOver ? end : page.upTo
    const entries = all.filter((entry) => this.#order?.isStarted(entry) !== false)
    if (2 * entries.length < all.length) this.#ahead = 0
    else if (upTo === end) this.#widen()
    return { entries, upTo }
  }

  #widen(): void {
    if (this.#mayWiden) this.#ahead = Math.min(2 * this.#ahead + 1, this.#order?.length ?? 0)
  }

  #begin(): StartOrder {
    const order = new StartOrder(this.#starts, this.#present, this.#compare)
    this.#reads.startOf = (channel) => order.startOf(channel)
    return order
  }

  async #find(channels: readonly string[], from: From): Promise<History> {
    if (typeof from === 'object') return this.#reads.history(channels, from.last)
    if (from === 'start') return this.#reads.history(channels, Number.POSITIVE_INFINITY)
    // Untrusted text is not compared before the store has read it.
    const page = await this.#reads.read(channels, from, 1)
    // After a loss, the store may not have received the id although it was read.
    const isUnknown = page === 'gap' || this.#isBefore(this.#store.position, from)
    return { after: isUnknown ? this.#present : from, isIncomplete: isUnknown }
  }

  #send(start: string | undefined): boolean {
    if (start !== undefined) this.#owner._sendPosition(start)
    return start !== undefined
  }

  #isBefore(a: string, b: string): boolean {
    return this.#compare(a, b) < 0
  }

  readonly #compare = (a: string, b: string): number => (this.#store as Required<EventStore>).compare(a, b)
}
