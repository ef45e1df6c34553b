import { isPromise, type MaybePromise } from '../event/source.ts'
import { awaitShared } from '../scheduler/await-shared.ts'
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
import { LossCheck } from './loss-check.ts'
import { RecentBatches } from './recent-batches.ts'
import type { RunIdentity } from './run-entry.ts'
import { positionOf } from './run-id.ts'
import { type Compact, EMPTY_PAGE, pageOf, type Removed, type RunPage } from './run-page.ts'

// How much one read of the store returns, in bytes. It returns more if its entries are joined.
const PAGE_BYTES = 64 * 1024
const JOINED_PAGE_BYTES = 256 * 1024
// How long a read of missing entries waits if the store does not have them yet, in ms.
const RETRY_DELAY = 50

/** A subscriber that has received all entries so far. */
export interface LiveSubscriber {
  /** Called with the next batch. `isTurnOver`: it may be written at once. */
  deliver(batch: LiveBatch, isTurnOver: boolean): void
  /** Called when the run was removed, or the store has lost events of it. */
  onRemoved(): void
}

/**
 * A run with subscribers in this process. It keeps the newest entries, and reads older ones from the store. All live
 * subscribers share its entries, so that an event is encoded once for them.
 */
export class RunLog implements RunIdentity, RunWatcher, FanOut {
  readonly id: string
  readonly epoch: string
  readonly owner: string
  /** The number of the newest event that this process has received. Later events are passed to the live subscribers. */
  position = 0
  /** How the run ended. Undefined while it continues. */
  end: RunEndReason | undefined
  /** Whether the log is closed, because the run was removed or the store has lost events of it. */
  isRemoved = false
  /** Whether the store has lost acknowledged events, for example in a failover. The run may be opened again. */
  hasLostEvents = false
  readonly #store: RunStore
  readonly #compact: Compact | undefined
  readonly #live = new Set<LiveSubscriber>()
  readonly #recent = new RecentBatches()
  readonly #closing = new AbortController()
  // Whether `#closing` is aborted. A flag, because the signal of Node.js is slow to read for each batch.
  #isClosed = false
  readonly #loss: LossCheck
  #watch: RunWatch | undefined
  #place: string | undefined
  // The number of the newest event that was reported. Events between `position` and it are missing. Infinity: unknown.
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
    this.#loss = new LossCheck(store, this, this.#closing.signal)
  }

  /** Returns the log of a run, or undefined if there is no such run. Rejects with the error of the store. */
  static open(store: RunStore, id: string, compact?: Compact): MaybePromise<RunLog | undefined> {
    const found = store.find(id)
    const from = (state: RunState | undefined) =>
      state && new RunLog(store, id, state, compact).#start(state, isPromise(found))
    return isPromise(found) ? found.then(from) : from(found)
  }

  /** `isLate`: events may have been appended since the state was looked up. */
  #start(state: RunState, isLate: boolean): MaybePromise<RunLog | undefined> {
    // An ended run needs no watch, because nothing is appended to it.
    if (state.end) return this.#begin(state)
    this.#watch = this.#store.watch(this.id, this.epoch, this)
    return isLate || this.#watch.ready ? this.#beginWhenWatched(this.#watch.ready) : this.#begin(state)
  }

  // Looks the run up again, because only events that are appended afterwards are reported.
  async #beginWhenWatched(ready: Promise<void> | undefined): Promise<RunLog | undefined> {
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

  /** Adds a subscriber that has received all entries up to `position`. */
  add(subscriber: LiveSubscriber): void {
    this.#live.add(subscriber)
  }

  remove(subscriber: LiveSubscriber): void {
    this.#live.delete(subscriber)
  }

  /**
   * Returns entries after a position, of about `room` bytes on the wire. There is at least one unless there are none.
   */
  read(after: RunPosition, room: number, signal: AbortSignal): MaybePromise<RunPage | Removed> {
    const isBehind = after.number < this.position
    const { first } = this.#recent
    // Applies to a removed run too, because its subscribers may not have received the end yet.
    if (isBehind && first !== undefined && after.number + 1 >= first)
      return this.#toPage(this.#recent.after(after.number, room), after.number)
    if (this.isRemoved) return 'removed'
    if (!isBehind) return EMPTY_PAGE
    const bytes = this.#compact ? JOINED_PAGE_BYTES : PAGE_BYTES
    const batches = this.#store.read(this.id, this.epoch, after, bytes, signal)
    return isPromise(batches)
      ? batches.then((found) => this.#toPage(found, after.number))
      : this.#toPage(batches, after.number)
  }

  /** Whether an event id belongs to another run, or to an event that this process has not received. */
  isBehind(eventId: string): boolean {
    const number = positionOf(eventId, this.epoch)?.number
    return number === undefined || number > this.position
  }

  /**
   * Resolves once this process has received all events up to a number, which the store has. Rejects with the reason of
   * the signal once it is aborted.
   */
  async catchUpTo(number: number, signal: AbortSignal): Promise<void> {
    this.#reported = Math.max(this.#reported, number)
    await awaitShared(this.#readMissing(), signal)
  }

  onBatch(batch: StoredBatch): void {
    const last = lastNumberOf(batch)
    this.#reported = Math.max(this.#reported, last)
    this.#isQuiet = false
    if (!this.#isOpen || this.#isClosed) return
    // The end is the last event, so the store has lost events with the same and higher numbers.
    if (batch.end && last <= this.position && !this.end) this.#onLoss()
    if (last <= this.position) return
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

  /** Reads from the store the events that were not reported, one read at a time. */
  #readMissing(): Promise<void> {
    if (this.#isBehindStore) this.#reading ??= this.#readReported()
    return this.#reading ?? Promise.resolve()
  }

  get #isBehindStore(): boolean {
    return this.#reported > this.position && !this.end && !this.#isClosed
  }

  async #readReported(): Promise<void> {
    try {
      while (this.#isBehindStore) await this.#readOnce()
    } catch {
      // The next batch or interruption retries.
    }
    // In the step that finds nothing to read, because a batch that is reported after it needs another read.
    this.#reading = undefined
  }

  async #readOnce(): Promise<void> {
    const isUnknown = this.#reported === Number.POSITIVE_INFINITY
    // Batches that are reported during the read may not be in its result.
    if (isUnknown) this.#reported = 0
    const after = { number: this.position, place: this.#place }
    const batches = await this.#store.read(this.id, this.epoch, after, PAGE_BYTES, this.#closing.signal)
    if (!batches) return this.#onRemoved()
    for (const batch of batches) {
      // The entries before it were evicted. Subscribers detect the gap when they read.
      if (batch.first > this.position + 1) this.#skipTo(batch.first - 1)
      this.onBatch(batch)
    }
    // After an interruption, the log is read until the store has no further events, and all that were received.
    const isDone = batches.length === 0 && (!isUnknown || (await this.#isIntact()))
    if (isUnknown && !isDone) this.#reported = Number.POSITIVE_INFINITY
    if (isDone && this.#reported > this.position) await pause(RETRY_DELAY, this.#closing.signal)
  }

  /** Whether the store has all events that were received. Closes the log if it has lost some. */
  async #isIntact(): Promise<boolean> {
    const verdict = await this.#loss.check()
    if (this.#isClosed) return true
    if (verdict === 'lost') this.#onLoss()
    if (verdict === 'removed') this.#onRemoved()
    return verdict === 'same'
  }

  /** Closes the log, because other events may have the numbers of lost events now. */
  #onLoss(): void {
    this.hasLostEvents = true
    this.#onRemoved()
  }

  #skipTo(number: number): void {
    this.position = number
    // A live batch has consecutive entries, so subscribers read these from the store.
    this.#pending = []
    this.#recent.clear()
  }

  #onRemoved(): void {
    this.isRemoved = true
    this.close()
    for (const subscriber of [...this.#live]) subscriber.onRemoved()
  }

  #toPage(batches: readonly StoredBatch[] | undefined, after: number): MaybePromise<RunPage | Removed> {
    if (!batches) return 'removed'
    if (batches.length > 0) return pageOf(this, batches, after, this.#compact)
    // The store is late, or has lost the events. The check delays the next read.
    return this.#isIntact().then(() => EMPTY_PAGE)
  }
}
