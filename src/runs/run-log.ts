import { isPromise, type MaybePromise } from '../event/source.ts'
import { pause } from '../scheduler/pause.ts'
import { type FanOut, turn } from '../scheduler/turn.ts'
import { lastNumberOf, restOf } from '../stores/run-batch.ts'
import type {
  RunEndReason,
  RunPosition,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StoredBatch,
} from '../stores/run-store.ts'
import { LiveBatch } from './live-batch.ts'
import { RecentBatches } from './recent-batches.ts'
import { entriesOf, type RunEntry, type RunIdentity } from './run-entry.ts'
import { positionOf } from './run-id.ts'

// How much one read of the store returns, in bytes. More if its entries are joined.
const PAGE_BYTES = 64 * 1024
const JOINED_PAGE_BYTES = 256 * 1024
// How long a read of missing entries waits for a store that does not have them yet, in ms.
const RETRY_DELAY = 50

/** Entries after a position, oldest first. */
export interface RunPage {
  readonly entries: readonly RunEntry[]
  /** Whether entries before the first one were evicted. */
  readonly isIncomplete: boolean
}

/** Returned for a run that does not exist any more. */
export type Removed = 'removed'

const EMPTY: RunPage = { entries: [], isIncomplete: false }

/** Joins neighbouring entries. */
export type Compact = (run: RunIdentity, entries: readonly RunEntry[]) => readonly RunEntry[]

/** A stream that has received everything so far. */
export interface LiveSubscriber {
  /** `isTurnOver`: the batch may be written at once. */
  deliver(batch: LiveBatch, isTurnOver: boolean): void
  /** Called when the run was removed. */
  onRemoved(): void
}

/**
 * A run with subscribers in this process: its newest entries, and what is read from the store for subscribers that are
 * further behind. All live subscribers share its entries, so that an event is encoded once for them.
 */
export class RunLog implements RunIdentity, RunWatcher, FanOut {
  readonly id: string
  readonly epoch: string
  readonly owner: string
  /** The number of the newest event that this process knows. Later ones are passed to the live subscribers. */
  position = 0
  /** How the run ended. Undefined while it goes on. */
  end: RunEndReason | undefined
  isRemoved = false
  readonly #store: RunStore
  readonly #compact: Compact | undefined
  readonly #live = new Set<LiveSubscriber>()
  readonly #recent = new RecentBatches()
  readonly #closing = new AbortController()
  // Whether that is aborted. A flag, because the signal of Node.js is slow to read for each batch.
  #isClosed = false
  #watch: RunWatch | undefined
  #place: string | undefined
  // The number of the newest event that was reported. Those after `position` are missing. Infinity: unknown.
  #reported = 0
  #isOpen = false
  #isQuiet = false
  #reading: Promise<void> | undefined
  #pending: LiveBatch[] = []

  private constructor(store: RunStore, id: string, { epoch, owner }: RunState, compact?: Compact) {
    this.#store = store
    this.#compact = compact
    this.id = id
    this.epoch = epoch
    this.owner = owner
  }

  /** Returns the log of a run, or undefined if there is no such run. Rejects with the error of the store. */
  static open(store: RunStore, id: string, compact?: Compact): MaybePromise<RunLog | undefined> {
    const from = (state: RunState | undefined) => state && RunLog.#from(store, id, state, compact)
    const found = store.find(id)
    return isPromise(found) ? found.then(from) : from(found)
  }

  static #from(
    store: RunStore,
    id: string,
    state: RunState,
    compact?: Compact,
  ): MaybePromise<RunLog | undefined> {
    const log = new RunLog(store, id, state, compact)
    // Nothing more is appended.
    if (!state.end) log.#watch = store.watch(id, log.epoch, log)
    if (!log.#watch?.ready) return log.#begin(state)
    return log.#beginWhenWatched(log.#watch.ready)
  }

  // What is appended from the second look-up on is reported.
  async #beginWhenWatched(ready: Promise<void>): Promise<RunLog | undefined> {
    try {
      await ready
      const state = await this.#store.find(this.id)
      if (state?.epoch === this.epoch) return this.#begin(state)
    } catch (error) {
      this.close()
      throw error
    }
    this.close()
    return undefined
  }

  #begin({ last, end }: RunState): this {
    this.#isOpen = true
    this.position = last
    this.end = end
    if (this.#reported > last) void this.#readMissing()
    return this
  }

  /** Adds a subscriber that has received everything up to `position`. */
  add(subscriber: LiveSubscriber): void {
    this.#live.add(subscriber)
  }

  remove(subscriber: LiveSubscriber): void {
    this.#live.delete(subscriber)
  }

  /** Returns entries after a position: about as many as `room` bytes on the wire, at least one if there is one. */
  read(after: RunPosition, room: number, signal: AbortSignal): MaybePromise<RunPage | Removed> {
    const isBehind = after.number < this.position
    const { first } = this.#recent
    // Also of a removed run, whose end its subscribers may not have received yet.
    if (isBehind && first !== undefined && after.number + 1 >= first)
      return this.#toPage(this.#recent.after(after.number, room), after.number)
    if (this.isRemoved) return 'removed'
    if (!isBehind) return EMPTY
    const bytes = this.#compact ? JOINED_PAGE_BYTES : PAGE_BYTES
    const batches = this.#store.read(this.id, this.epoch, after, bytes, signal)
    return isPromise(batches)
      ? batches.then((found) => this.#toPage(found, after.number))
      : this.#toPage(batches, after.number)
  }

  /** Whether an event id is of another run, or of an event that this process does not know. */
  isBehind(eventId: string): boolean {
    const number = positionOf(eventId, this.epoch)?.number
    return number === undefined || number > this.position
  }

  /** Resolves once everything up to a number, which the store has, is known here. */
  async catchUpTo(number: number): Promise<void> {
    this.#reported = Math.max(this.#reported, number)
    await this.#readMissing()
  }

  onBatch(batch: StoredBatch): void {
    const last = lastNumberOf(batch)
    this.#reported = Math.max(this.#reported, last)
    this.#isQuiet = false
    if (!this.#isOpen || last <= this.position || this.#isClosed) return
    if (batch.first > this.position + 1) void this.#readMissing()
    // A read may return events in another batch than the one in which they were reported meanwhile.
    else this.#append(restOf(batch, this.position))
  }

  onInterruption(): void {
    this.#reported = Number.POSITIVE_INFINITY
    if (this.#isOpen) void this.#readMissing()
  }

  /** Reads the store if nothing was reported since the last call. */
  readIfQuiet(): void {
    if (this.#isQuiet && !this.end) this.onInterruption()
    this.#isQuiet = true
  }

  /** @internal */
  _fanOut(isTurnOver: boolean): void {
    const batches = this.#pending
    this.#pending = []
    for (const batch of batches) for (const subscriber of this.#live) subscriber.deliver(batch, isTurnOver)
  }

  close(): void {
    this.#isClosed = true
    this.#closing.abort()
    this.#watch?.close()
  }

  #append(batch: StoredBatch): void {
    const after = this.position
    this.position = lastNumberOf(batch)
    this.#place = batch.place
    this.end = batch.end
    this.#recent.push(batch)
    if (this.#live.size === 0) return
    if (this.#pending.length === 0) turn.scheduleFanOut(this)
    if (!this.#pending.at(-1)?.add(batch, after)) this.#pending.push(new LiveBatch(this, batch, after))
  }

  /** Reads from the store what was not reported, one read at a time. */
  #readMissing(): Promise<void> {
    this.#reading ??= this.#readReported().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #readReported(): Promise<void> {
    try {
      while (this.#reported > this.position && !this.#isClosed) await this.#readOnce()
    } catch {
      // The next batch or interruption reads again.
    }
  }

  async #readOnce(): Promise<void> {
    const isUnknown = this.#reported === Number.POSITIVE_INFINITY
    // What is reported during the read may not be in its result.
    if (isUnknown) this.#reported = 0
    const after = { number: this.position, place: this.#place }
    const batches = await this.#store.read(this.id, this.epoch, after, PAGE_BYTES, this.#closing.signal)
    if (!batches) return this.#onRemoved()
    for (const batch of batches) {
      // The entries before it were evicted. Subscribers find the gap when they read.
      if (batch.first > this.position + 1) this.#skipTo(batch.first - 1)
      this.onBatch(batch)
    }
    if (batches.length > 0 && isUnknown) this.#reported = Number.POSITIVE_INFINITY
    if (batches.length === 0 && this.#reported > this.position) await pause(RETRY_DELAY, this.#closing.signal)
  }

  #skipTo(number: number): void {
    this.position = number
    // The entries of a batch are consecutive. Subscribers read these.
    this.#pending = []
    this.#recent.clear()
  }

  #onRemoved(): void {
    this.isRemoved = true
    this.close()
    for (const subscriber of [...this.#live]) subscriber.onRemoved()
  }

  #toPage(batches: readonly StoredBatch[] | undefined, after: number): RunPage | Removed {
    if (!batches) return 'removed'
    const isIncomplete = batches[0] !== undefined && batches[0].first > after + 1
    return { entries: this.#joined(batches.flatMap((batch) => entriesOf(this, batch, after))), isIncomplete }
  }

  #joined(entries: readonly RunEntry[]): readonly RunEntry[] {
    return entries.length > 1 && this.#compact ? this.#compact(this, entries) : entries
  }
}
