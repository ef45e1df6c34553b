import type { MaybePromise } from '../event/source.ts'
import type { Publication } from './log-entry.ts'

/** An event of a run: checked, with its data as text. */
export type RunEvent = Pick<Publication, 'event' | 'data' | 'isText' | 'retry'>

/**
 * How a run ended. `done`: its source was read to the end. `error`: its source failed. `stopped`: on request. `lost`: the
 * process that ran the source has died, or was frozen for longer than its lease.
 */
export type RunEndReason = 'done' | 'error' | 'stopped' | 'lost'

/** Consecutive events of a run, which are stored together or not at all. */
export interface RunBatch {
  /** The number of the first event. The events of a run are numbered from 1. */
  readonly first: number
  /** At least one event. */
  readonly events: readonly RunEvent[]
  /** Set in the last batch of a run, whose last event reports the end. */
  readonly end?: RunEndReason | undefined
}

export interface StoredBatch extends RunBatch {
  /**
   * Where the store finds the batch again: letters and digits, which become part of the ids of its events. Undefined for
   * a store that finds it by its number.
   */
  readonly place?: string | undefined
}

/** What a store knows of a run. */
export interface RunState {
  /** Distinguishes the run from earlier ones with the same id: letters and digits, chosen by the store. */
  readonly epoch: string
  /** The process that runs the source. */
  readonly owner: string
  /** The number of the newest event, or 0. */
  readonly last: number
  /** Undefined while the run goes on. */
  readonly end?: RunEndReason | undefined
}

export interface StartedRun extends RunState {
  /** False if there was a run with this id, which is the one returned. */
  readonly isNew: boolean
}

/** Limits of stored events that an append applies. */
export interface RunRetention {
  /** Events with a lower number MAY be removed, except those of the newest batch. */
  readonly evictBefore: number
  /** With the last batch: how long the run is kept from now on, in ms. */
  readonly keep?: number | undefined
}

/** Where a client continues, as its last event id says. It is untrusted. */
export interface RunPosition {
  /** The number of the last event that it has received, or 0. */
  readonly number: number
  /** `place` of the batch with that event, if the store has given one. */
  readonly place?: string | undefined
}

/** Receives what is stored in a run. */
export interface RunWatcher {
  /** Called for every batch stored from now on. Some MAY be missing or come twice, because their events are numbered. */
  onBatch(batch: StoredBatch): void
  /** Called when batches may have been missed, for example after a reconnect. They are then read. */
  onInterruption(): void
}

export interface RunWatch {
  /** Resolves when `onBatch` is called for every further batch. Undefined if it is already. Never rejects. */
  readonly ready?: Promise<void> | undefined
  close(): void
}

/** A process that runs sources. */
export interface RunOwner {
  /** Letters and digits, which distinguish it from all other processes. */
  readonly name: string
  /** Called when the end of a run of this process is requested. MAY be called more than once. */
  onStop(id: string, epoch: string): void
}

/**
 * Keeps the events of runs. Several processes MAY use what is behind it. Ids are checked by the caller: 1 to 200 characters
 * of any script. A store that needs a connection MUST wait out an outage: `append` and `read` until their signal is
 * aborted, the others up to a few seconds, after which they reject with `SseError` `ERR_SSE_STORE`.
 */
export interface RunStore {
  /**
   * Starts a run, unless there is one with this id. MUST be atomic across all processes. The store MUST remove the run
   * after `maxAge` ms, without the help of any process.
   */
  start(id: string, owner: string, maxAge: number): Promise<StartedRun>
  /**
   * Appends a batch of a run. MUST resolve with true once it is stored, and with false if it never will be, because the run
   * has ended, was removed, or does not end directly before these numbers. A repetition of the newest batch resolves with
   * true. The last batch MUST set the time for which the run is kept in the same step. MUST reject with `SseError`
   * `ERR_SSE_STORE` if the batch cannot be stored, for example because it is too large.
   */
  append(
    id: string,
    epoch: string,
    batch: RunBatch,
    retention: RunRetention,
    signal: AbortSignal,
  ): MaybePromise<boolean>
  /** Returns the state of a run, or undefined if there is none. */
  find(id: string): MaybePromise<RunState | undefined>
  /**
   * Returns batches that have events after a position, oldest first and without a gap between them: at least one if there is
   * one, and no more than `bytes` if there are several. Earlier events of the first batch are allowed, and a store without
   * places MAY join and divide batches. If the events directly after the position were evicted, the first batch is the oldest
   * one. Undefined: there is no such run (any more).
   */
  read(
    id: string,
    epoch: string,
    after: RunPosition,
    bytes: number,
    signal: AbortSignal,
  ): MaybePromise<readonly StoredBatch[] | undefined>
  /** Watches a run, over a connection that all watched runs share. A run that is not watched MUST cost this process nothing. */
  watch(id: string, epoch: string, watcher: RunWatcher): RunWatch
  /** Whether any process watches a run. MUST reject while that cannot be found out. Called for a run that may be abandoned. */
  isWatched(id: string, epoch: string): MaybePromise<boolean>
  /** Removes a run. Returns whether there was one. */
  remove(id: string): Promise<boolean>

  /** Makes this process known under its name for 0.4 of `lease` ms after each `renew`. Called once. */
  serve(owner: RunOwner, lease: number): void
  /** Called every sixth of the lease while the process runs sources. */
  renew(): MaybePromise<void>
  /** Whether a process has renewed its lease. MUST reject while that cannot be found out. */
  isAlive(owner: string): MaybePromise<boolean>
  /** Passes a request to end a run on to the process that owns it, if it is alive. */
  requestStop(owner: string, id: string, epoch: string): MaybePromise<void>
  /** MUST close the connections that the store opened. */
  close(): Promise<void>
}
