import {
  type MaybePromise,
  openSource,
  READ_AHEAD_BYTES,
  readItems,
  type SourceReader,
} from '../event/source.ts'
import { checkSynchronous } from '../event/synchronous.ts'
import { settledWithin } from '../scheduler/settled-within.ts'
import { turnAfterSlice } from '../scheduler/turn-after-slice.ts'
import { lastNumberOf, sizeOf } from '../stores/run-batch.ts'
import type { RunBatch, RunEvent, RunStore } from '../stores/run-store.ts'
import { appendOwnEnd } from './append-own-end.ts'
import { AppendPace } from './append-pace.ts'
import type { Lease } from './lease.ts'
import { Retention } from './retention.ts'
import { type RunEnd, runEventOf } from './run-end.ts'
import type { RunIdentity } from './run-entry.ts'
import type { RunSettings } from './run-options.ts'

/** Returns the source of a run, or a promise of it. The signal aborts when the run is to end. */
export type OpenSource = (signal: AbortSignal) => unknown

export interface OwnedRunContext {
  readonly store: RunStore
  readonly lease: Lease
  readonly settings: RunSettings
  /** Called with an error of the source, or with the rejection of an end, which no caller receives. */
  onError(error: unknown, id: string): void
}

/** A run in the process that runs its source: reads the source, and appends what it yields. */
export class OwnedRun implements RunIdentity {
  readonly id: string
  readonly epoch: string
  /** Resolves when the end is stored, or the run no longer belongs to this process. */
  readonly ended: Promise<RunEnd>
  readonly #context: OwnedRunContext
  readonly #retention: Retention
  readonly #pace: AppendPace
  readonly #signal = new AbortController()
  // Aborted when no further batch may be appended.
  readonly #appends = new AbortController()
  // Whether `#appends` is aborted. A flag, because the signal of Node.js is slow to read for each event.
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
    // Nothing is appended after the loss of the lease except the end, which other processes may append too.
    if (reason === 'lost') this.#seal()
    this.#end({ reason })
  }

  /** Stops the run as lost without appending its end. */
  stopAppending(): void {
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
    // The last events may be missing although the source was read to the end.
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
      const message = settings.errorMessage(error)
      checkSynchronous(message, 'ERR_SSE_OPTION', 'errorMessage', 'a string')
      return { reason: 'error', message }
    } catch (failure) {
      onError(failure, this.id)
      return { reason: 'error' }
    }
  }

  /** Closes the source, so that its `finally` has run. Waits at most `closeTimeout`. */
  #closeSource(read: Promise<RunEnd>): Promise<void> {
    const close = async () => {
      await this.#reader?.cancel()
      await read
    }
    return settledWithin(this.#context.settings.closeTimeout, close())
  }

  #write(event: unknown): MaybePromise<boolean> {
    if (this.#requested) return false
    const stored = runEventOf(event, this.#context.settings.serialize)
    this.#pending.push(stored)
    this.#pendingBytes += sizeOf(stored)
    if (!this.#appending) this.#appendPending()
    if (this.#pendingBytes < READ_AHEAD_BYTES)
      return turnAfterSlice()?.then(() => !this.#requested) ?? !this.#requested
    this.#pace.skip()
    return new Promise((resolve) => this.#onRoom.push(resolve))
  }

  // Appends one batch at a time. The events that the source yields meanwhile are the next batch. A synchronous store
  // needs no promise, because promises are a large part of the cost of an event.
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

  // Ends the run after a batch that the store rejects, for example because it is larger than the broker accepts.
  #onRefused(error: unknown): void {
    if (this.#isSealed) return
    // Without this batch, the store accepts no later ones.
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
  async #appendEnd(requested: RunEnd): Promise<RunEnd> {
    const context = { ...this.#context, signal: this.#endAppend.signal }
    const { evictBefore } = this.#retention
    const { end, last } = await appendOwnEnd(context, this, { end: requested, last: this.#last, evictBefore })
    this.#last = last
    return end
  }

  #settleRoom(hasRoom: boolean): void {
    if (this.#onRoom.length === 0) return
    const waiting = this.#onRoom
    this.#onRoom = []
    for (const resolve of waiting) resolve(hasRoom)
  }
}
