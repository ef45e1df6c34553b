import {
  type MaybePromise,
  openSource,
  READ_AHEAD_BYTES,
  readItems,
  type SourceReader,
} from '../event/source.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { pause } from '../scheduler/pause.ts'
import { lastNumberOf, sizeOf } from '../stores/run-batch.ts'
import type { RunBatch, RunEvent, RunState, RunStore } from '../stores/run-store.ts'
import { AppendPace } from './append-pace.ts'
import type { Lease } from './lease.ts'
import { Retention } from './retention.ts'
import { endEventsOf, type RunEnd, runEventOf } from './run-end.ts'
import type { RunIdentity } from './run-entry.ts'
import type { RunSettings } from './run-options.ts'

// The delay before a run is looked up again, in ms.
const RETRY_DELAY = 500

/** Returns the source of a run, or a promise of it. The signal aborts when the run is to end. */
export type OpenSource = (signal: AbortSignal) => unknown

export interface OwnedRunContext {
  readonly store: RunStore
  readonly lease: Lease
  readonly settings: RunSettings
  /** Called with an error of a source, which no caller receives. */
  onError(error: unknown, id: string): void
}

/** A run in the process that runs its source: reads the source, and appends what it yields. */
export class OwnedRun implements RunIdentity {
  readonly id: string
  readonly epoch: string
  /** Resolves when the end is stored, or the run belongs to this process no more. */
  readonly ended: Promise<RunEnd>
  readonly #context: OwnedRunContext
  readonly #retention: Retention
  readonly #pace: AppendPace
  readonly #signal = new AbortController()
  // Aborted when nothing more can be appended.
  readonly #appends = new AbortController()
  // Whether it is aborted. A flag, because the signal of Node.js is slow to read for each event.
  #isSealed = false
  readonly #endAppend = new AbortController()
  #reader: SourceReader | undefined
  #request: (end: RunEnd) => void = () => {}
  #requested: RunEnd | undefined
  #pending: RunEvent[] = []
  #pendingBytes = 0
  #last = 0
  #appending: Promise<void> | undefined
  #onRoom: Array<(hasRoom: boolean) => void> = []

  constructor(context: OwnedRunContext, { id, epoch }: RunIdentity, open: OpenSource) {
    this.id = id
    this.epoch = epoch
    this.#context = context
    this.#retention = new Retention(context.settings)
    this.#pace = new AppendPace(context.settings.flushInterval)
    this.ended = this.#run(open)
  }

  /** The number of events that are stored. */
  get events(): number {
    return this.#last
  }

  /** Ends the run: aborts its signal, closes its source, and reports the end once the source is closed. */
  stop(reason: 'stopped' | 'lost' = 'stopped'): void {
    // Nothing is appended after a lease was lost, except the end, which other processes may append too.
    if (reason === 'lost') this.#seal()
    this.#end({ reason })
  }

  /** Appends nothing more, not even the end. */
  abandon(): void {
    this.stop('lost')
    this.#endAppend.abort()
  }

  #seal(): void {
    this.#isSealed = true
    this.#appends.abort()
  }

  #end(end: RunEnd): void {
    if (this.#requested) return
    this.#requested = end
    this.#signal.abort()
    this.#request(end)
    this.#settleRoom(false)
  }

  async #run(open: OpenSource): Promise<RunEnd> {
    const requested = new Promise<RunEnd>((resolve) => {
      this.#request = resolve
    })
    const read = this.#read(open)
    const first = await Promise.race([read, requested])
    const end = this.#requested ?? first
    this.#signal.abort()
    await this.#closeSource(read)
    this.#pace.skip()
    while (this.#appending) await this.#appending
    // The last events of a source that was read to the end may be missing all the same.
    return this.#appendEnd((this.#isSealed && this.#requested) || end)
  }

  /** Reads the source. Resolves with how that ended; never rejects. */
  async #read(open: OpenSource): Promise<RunEnd> {
    try {
      this.#reader = openSource(await open(this.#signal.signal))
      // A source that arrives after a stop is closed unread, even if the stop no longer waits for it.
      if (this.#requested) await this.#reader.cancel()
      else await readItems(this.#reader, (event) => this.#write(event))
      return this.#requested ?? { reason: 'done' }
    } catch (error) {
      if (this.#requested) return this.#requested
      return this.#errorEnd(error)
    }
  }

  #errorEnd(error: unknown): RunEnd {
    const { settings, onError } = this.#context
    onError(error, this.id)
    try {
      return { reason: 'error', message: settings.errorMessage(error) }
    } catch (failure) {
      onError(failure, this.id)
      return { reason: 'error' }
    }
  }

  /** Closes the source, so that its `finally` has run. A source that does not close in time is left alone. */
  async #closeSource(read: Promise<RunEnd>): Promise<void> {
    let deadline: Deadline | undefined
    const timeOut = new Promise<void>((resolve) => {
      deadline = new Deadline(this.#context.settings.closeTimeout, resolve)
    })
    const close = async () => {
      await this.#reader?.cancel()
      await read
    }
    await Promise.race([close().catch(() => {}), timeOut])
    deadline?.cancel()
  }

  #write(event: unknown): MaybePromise<boolean> {
    if (this.#requested) return false
    const stored = runEventOf(event, this.#context.settings.serialize)
    this.#pending.push(stored)
    this.#pendingBytes += sizeOf(stored)
    if (!this.#appending) this.#appendPending()
    if (this.#pendingBytes < READ_AHEAD_BYTES) return !this.#requested
    this.#pace.skip()
    return new Promise((resolve) => this.#onRoom.push(resolve))
  }

  // One batch at a time. What the source yields meanwhile is the next batch. At once if the store is not asynchronous, and
  // without an asynchronous function, because promises are a large part of what an event costs.
  #appendPending(): void {
    const appended = this.#pace.untilDue() ?? this.#appendBatch()
    this.#appending = appended?.then(() => {
      this.#appending = undefined
      if (this.#pending.length > 0 && !this.#isSealed) this.#appendPending()
    })
  }

  #appendBatch(): Promise<void> | undefined {
    this.#pace.restart()
    const events = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    return this.#store({ first: this.#last + 1, events })
  }

  #store(batch: RunBatch): Promise<void> | undefined {
    const { store, lease } = this.#context
    if (!lease.isHeld) this.stop('lost')
    if (this.#isSealed) return undefined
    this.#retention.add(batch)
    const { evictBefore } = this.#retention
    const stored = store.append(this.id, this.epoch, batch, { evictBefore }, this.#appends.signal)
    if (typeof stored === 'boolean') return void this.#onStored(batch, stored)
    return stored.then(
      (isStored) => this.#onStored(batch, isStored),
      (error) => this.#onRefused(error),
    )
  }

  // For example a batch that is larger than the broker accepts.
  #onRefused(error: unknown): void {
    if (this.#isSealed) return
    // Without this batch, the run has no later ones either.
    this.#seal()
    this.#end(this.#errorEnd(error))
  }

  #onStored(batch: RunBatch, isStored: boolean): void {
    // Another process has ended or removed the run.
    if (!isStored) return void this.stop('lost')
    this.#last = lastNumberOf(batch)
    this.#settleRoom(true)
  }

  /** Appends the end. Resolves with the end that is stored, which may be that of another process. */
  async #appendEnd(end: RunEnd): Promise<RunEnd> {
    let [stored, number] = [end, this.#last + 1]
    try {
      while (!(await this.#storeEnd(stored, number))) {
        const state = await this.#find()
        if (state?.epoch !== this.epoch) return { reason: 'lost' }
        if (state.end) return { reason: state.end }
        // The store has lost events that it had acknowledged, or has a batch whose append was aborted.
        stored = { reason: 'lost' }
        number = state.last + 1
      }
      return stored
    } catch (error) {
      if (!this.#endAppend.signal.aborted) this.#context.onError(error, this.id)
      return { reason: 'lost' }
    }
  }

  /** Returns the state of the run, after an outage if there is one. */
  async #find(): Promise<RunState | undefined> {
    const { signal } = this.#endAppend
    for (;;) {
      try {
        return await this.#context.store.find(this.id)
      } catch {
        await pause(RETRY_DELAY, signal)
      }
    }
  }

  async #storeEnd(end: RunEnd, first: number): Promise<boolean> {
    const { store, settings } = this.#context
    const events = endEventsOf(settings, end, (error) => this.#context.onError(error, this.id))
    const batch = { first, events, end: end.reason }
    const retention = { evictBefore: this.#retention.evictBefore, keep: settings.keep }
    const isStored = await store.append(this.id, this.epoch, batch, retention, this.#endAppend.signal)
    if (isStored) this.#last = lastNumberOf(batch)
    return isStored
  }

  #settleRoom(hasRoom: boolean): void {
    if (this.#onRoom.length === 0) return
    const waiting = this.#onRoom
    this.#onRoom = []
    for (const resolve of waiting) resolve(hasRoom)
  }
}
