import { setMaxListeners } from 'node:events'
import { isPromise, type MaybePromise } from '../event/source.ts'
import { awaitShared } from '../scheduler/await-shared.ts'
import { atTurnEnd } from '../scheduler/turn.ts'
import type { RunEndReason, RunState, RunStore } from '../stores/run-store.ts'
import { appendLost } from './append-end.ts'
import type { LiveBatch } from './live-batch.ts'
import { mergeEntries } from './merge.ts'
import { OwnerWatch } from './owner-watch.ts'
import { RunLog } from './run-log.ts'
import type { RunSettings } from './run-options.ts'
import type { Compact } from './run-page.ts'

/** Returns a signal that aborts a wait. Called only for a wait. */
export type SignalOf = () => AbortSignal

/** The runs that are read in this process. A run without users is not read. */
export class RunLogs {
  readonly #store: RunStore
  readonly #settings: RunSettings
  readonly #ownName: string
  readonly #onError: (error: unknown, id: string) => void
  readonly #compact: Compact | undefined
  readonly #owners: OwnerWatch
  readonly #logs = new Map<string, RunLog>()
  readonly #opening = new Map<string, Promise<RunLog | undefined>>()
  readonly #uses = new Map<RunLog, number>()
  readonly #closing = new AbortController()
  // The runs whose end as lost is being appended.
  readonly #endingAsLost = new Set<RunLog>()

  constructor(
    store: RunStore,
    settings: RunSettings,
    ownName: string,
    onError: (error: unknown, id: string) => void,
  ) {
    this.#onError = onError
    this.#store = store
    this.#settings = settings
    this.#ownName = ownName
    const { merge, serialize } = settings
    if (merge)
      this.#compact = (run, entries) => {
        try {
          return mergeEntries(run, entries, merge, serialize)
        } catch (error) {
          this.#onError(error, run.id)
          return entries
        }
      }
    // Each end as lost adds a listener.
    setMaxListeners(0, this.#closing.signal)
    this.#owners = new OwnerWatch(store, ownName, settings.lease, (log) => void this.#endLost(log))
  }

  /**
   * Returns the log of a run, which MUST be released, or undefined if there is no such run. Rejects with the error of
   * the store. Rejects if the signal is aborted while the log is opened, which may take as long as an outage, and then
   * holds nothing of the caller.
   */
  acquire(id: string, signalOf: SignalOf): MaybePromise<RunLog | undefined> {
    const present = this.#logs.get(id)
    if (!present || present.isRemoved) return this.#open(id, signalOf)
    if (!present.end) return this.#retain(present)
    // Looked up, because the removal of an ended run is not reported.
    const found = this.#store.find(id)
    return isPromise(found)
      ? found.then((state) => this.#retainIfSame(present, state, signalOf))
      : this.#retainIfSame(present, found, signalOf)
  }

  /**
   * Acquires the log of a run for a client with an event id. Another process may have sent the id before this process
   * has received the event.
   */
  acquireFor(id: string, eventId: string | undefined, signalOf: SignalOf): MaybePromise<RunLog | undefined> {
    const log = this.acquire(id, signalOf)
    if (eventId === undefined) return log
    const refresh = (found: RunLog | undefined) =>
      found?.isBehind(eventId) ? this.#refresh(found, signalOf) : found
    return isPromise(log) ? log.then(refresh) : refresh(log)
  }

  release(log: RunLog): void {
    const uses = (this.#uses.get(log) ?? 0) - 1
    this.#uses.set(log, uses)
    if (uses > 0) return
    this.#uses.delete(log)
    this.#owners.remove(log)
    log.close()
    if (this.#logs.get(log.id) === log) this.#logs.delete(log.id)
  }

  /** Resolves with how a run ended, or with undefined if there is no such run. Rejects with the error of the store. */
  async whenEnded(id: string, signal: AbortSignal): Promise<RunEndReason | undefined> {
    for (;;) {
      const log = await this.acquire(id, () => signal)
      if (!log) return undefined
      try {
        const end = await endOf(log, signal)
        if (end || !log.hasLostEvents) return end
      } finally {
        this.release(log)
      }
    }
  }

  close(): void {
    this.#closing.abort()
    for (const log of this.#uses.keys()) {
      this.#owners.remove(log)
      log.close()
    }
  }

  #retain(log: RunLog): RunLog {
    this.#uses.set(log, (this.#uses.get(log) ?? 0) + 1)
    return log
  }

  #retainIfSame(
    log: RunLog,
    state: RunState | undefined,
    signalOf: SignalOf,
  ): MaybePromise<RunLog | undefined> {
    if (this.#logs.get(log.id) === log && state?.epoch === log.epoch) return this.#retain(log)
    if (this.#logs.get(log.id) === log) this.#logs.delete(log.id)
    return this.#open(log.id, signalOf)
  }

  /** Returns an acquired log with all events that are stored so far, or the log of the run that has replaced it. */
  async #refresh(log: RunLog, signalOf: SignalOf): Promise<RunLog | undefined> {
    try {
      const state = await this.#store.find(log.id)
      if (state?.epoch === log.epoch) {
        await log.catchUpTo(state.last, signalOf())
        return log
      }
    } catch (error) {
      this.release(log)
      throw error
    }
    this.release(log)
    if (this.#logs.get(log.id) === log) this.#logs.delete(log.id)
    return this.#open(log.id, signalOf)
  }

  #open(id: string, signalOf: SignalOf): MaybePromise<RunLog | undefined> {
    const opened = this.#opening.get(id) ?? RunLog.open(this.#store, id, this.#compact)
    if (!isPromise(opened)) return opened && this.#retain(this.#add(opened))
    if (!this.#opening.has(id)) {
      this.#opening.set(id, opened)
      const onSettled = () => void this.#opening.delete(id)
      opened.then((log) => log && this.#retainBriefly(log)).then(onSettled, onSettled)
    }
    return awaitShared(opened, signalOf()).then((log) => log && this.#retain(this.#add(log)))
  }

  // All callers may have been aborted. The log is then closed.
  #retainBriefly(log: RunLog): void {
    const retained = this.#retain(this.#add(log))
    atTurnEnd(() => this.release(retained))
  }

  #add(log: RunLog): RunLog {
    if (this.#logs.get(log.id) === log) return log
    this.#logs.set(log.id, log)
    // A store of one process loses no messages about its batches.
    if (!log.end && (this.#store.isShared || log.owner !== this.#ownName)) this.#owners.add(log)
    return log
  }

  /** Resolves with false if the run continues, because its owner has appended meanwhile. */
  async #appendLost({ id, epoch }: RunLog): Promise<boolean> {
    const state = await this.#store.find(id)
    if (state?.epoch !== epoch || state.end) return true
    const context = { store: this.#store, settings: this.#settings, onError: this.#onError }
    return appendLost({ ...context, signal: this.#closing.signal }, id, state)
  }

  /** Ends the run of an owner that has died, unless another process does. */
  async #endLost(log: RunLog): Promise<void> {
    if (this.#endingAsLost.has(log)) return
    this.#endingAsLost.add(log)
    try {
      const isEnded = await this.#appendLost(log)
      log.onInterruption()
      // A frozen owner may run a source that yields nothing, so that no append is refused.
      if (isEnded) await this.#store.requestStop(log.owner, log.id, log.epoch)
    } catch {
      // The next check retries.
    } finally {
      this.#endingAsLost.delete(log)
    }
  }
}

/** Resolves when a run has ended or was removed. Rejects when the signal is aborted. */
function endOf(log: RunLog, signal: AbortSignal): Promise<RunEndReason | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (end?: RunEndReason) => {
      log.remove(subscriber)
      signal.removeEventListener('abort', onAbort)
      resolve(end)
    }
    const onAbort = () => {
      log.remove(subscriber)
      reject(signal.reason)
    }
    const subscriber = {
      deliver: ({ end }: LiveBatch) => {
        if (end) settle(end)
      },
      onRemoved: () => settle(log.end),
    }
    signal.addEventListener('abort', onAbort)
    log.add(subscriber)
    if (signal.aborted) onAbort()
    else if (log.end || log.isRemoved) settle(log.end)
  })
}
