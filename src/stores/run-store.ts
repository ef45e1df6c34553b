import type { MaybePromise } from '../event/source.ts'
import type { Publication } from './log-entry.ts'

/** A checked event of a run, with its data as text. */
export type RunEvent = Pick<Publication, 'event' | 'data' | 'isText' | 'retry'>

/**
 * How a run ended. `done`: its source was read to the end. `error`: its source failed. `stopped`: on request. `lost`:
 * the process that ran the source has died, or was frozen for longer than its lease.
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
   * The location of the batch in the store, in letters and digits, which become part of the ids of its events.
   * Undefined if the store finds batches by their number.
   */
  readonly place?: string | undefined
}

/** The stored state of a run. */
export interface RunState {
  /**
   * Distinguishes the run from earlier ones with the same id. Consists of letters and digits, and is chosen by the
   * store.
   */
  readonly epoch: string
  /** The process that runs the source. */
  readonly owner: string
  /** The number of the newest event, or 0. */
  readonly last: number
  /** Undefined until the run has ended. */
  readonly end?: RunEndReason | undefined
}

export interface StartedRun extends RunState {
  /** False if a run with this id already exists, which is then returned. */
  readonly isNew: boolean
}

/** Limits of stored events that an append applies. */
export interface RunRetention {
  /** Events with a lower number MAY be removed, except those of the newest batch. */
  readonly evictBefore: number
  /** With the last batch, how long the run is kept after the append, in ms. */
  readonly keep?: number | undefined
}

/** The resume point of a client, from its last event id. It is untrusted. */
export interface RunPosition {
  /** The number of the last event that the client has received, or 0. */
  readonly number: number
  /** `place` of the batch with that event, if the store has assigned one. */
  readonly place?: string | undefined
}

/** Receives the batches that are stored in a run. */
export interface RunWatcher {
  /**
   * Called for every batch stored after `watch`. Batches MAY be missing or repeated, because their events are numbered.
   */
  onBatch(batch: StoredBatch): void
  /** Called when batches may have been missed, for example after a reconnect. The watcher then reads them. */
  onInterruption(): void
}

export interface RunWatch {
  /**
   * Resolves once `onBatch` is called for every further batch. Undefined if that is already the case. Never rejects.
   */
  readonly ready?: Promise<void> | undefined
  close(): void
}

/** A process that runs sources. */
export interface RunOwner {
  /** The unique name of the process, in letters and digits. */
  readonly name: string
  /** Called when the end of a run of this process is requested. MAY be called more than once. */
  onStop(id: string, epoch: string): void
}

/**
 * Keeps the events of runs. Several processes MAY share the same runs. Ids are checked by the caller, and have 1 to 200
 * characters of any script. During an outage of the connection, `append` and `read` MUST retry until their signal is
 * aborted. The other methods MUST retry for up to a few seconds, and then reject with `SseError` `ERR_SSE_STORE`.
 */
export interface RunStore {
  /** Whether several processes share the runs of the store. Default false. */
  readonly isShared?: boolean
  /**
   * Starts a run, unless there is one with this id. MUST be atomic across all processes. The store MUST remove the run
   * after `maxAge` ms, without the help of any process.
   */
  start(id: string, owner: string, maxAge: number): Promise<StartedRun>
  /**
   * Appends a batch of a run. MUST resolve with true once it is stored. MUST resolve with false if it can never be
   * stored, because the run has ended, was removed, or does not end directly before these numbers. A repetition of the
   * newest batch resolves with true. The last batch MUST set the time for which the run is kept in the same step. MUST
   * reject with `SseError` `ERR_SSE_STORE` if the batch cannot be stored, for example because it is too large.
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
   * Returns batches that have events after a position, oldest first and without a gap between them. Returns at least
   * one if there is one, and no more than `bytes` if there are several. The first batch MAY contain earlier events, and
   * a store without places MAY join and divide batches. If the events directly after the position were evicted, the
   * first batch is the oldest one. Returns undefined if there is no such run.
   */
  read(
    id: string,
    epoch: string,
    after: RunPosition,
    bytes: number,
    signal: AbortSignal,
  ): MaybePromise<readonly StoredBatch[] | undefined>
  /**
   * Watches a run, over a connection that all watched runs share. A run that is not watched MUST cost this process
   * nothing.
   */
  watch(id: string, epoch: string, watcher: RunWatcher): RunWatch
  /**
   * Whether any process watches a run. MUST reject while the store cannot determine it, as for `isAlive`. Called for a
   * run that may be abandoned.
   */
  isWatched(id: string, epoch: string): MaybePromise<boolean>
  /** Removes a run. Returns whether there was one. */
  remove(id: string): Promise<boolean>

  /**
   * Registers this process under its name. It counts as alive for 0.4 of `lease` ms after each `renew`. Called
   * once. MUST throw `SseError` `ERR_SSE_OPTION` if it is called again.
   */
  serve(owner: RunOwner, lease: number): void
  /** Called every sixth of the lease while the process runs sources. */
  renew(): MaybePromise<void>
  /**
   * Whether a process has renewed its lease. MUST reject while the store cannot determine it, for example after an
   * outage, until other processes have had the time to reconnect.
   */
  isAlive(owner: string): MaybePromise<boolean>
  /** Passes a request to end a run on to the process that owns it, if it is alive. */
  requestStop(owner: string, id: string, epoch: string): MaybePromise<void>
  /** MUST close the connections that the store opened. */
  close(): Promise<void>
}
