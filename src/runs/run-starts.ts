import { SseError } from '../errors.ts'
import { pause } from '../scheduler/pause.ts'
import { isPermanentError } from '../stores/permanent-error.ts'
import type { RunState, StartedRun } from '../stores/run-store.ts'
import { type AppendEndContext, appendLost } from './append-end.ts'
import type { Lease } from './lease.ts'
import { retryDelay } from './retry-delay.ts'
import type { RunIdentity } from './run-entry.ts'

export interface RunStartsContext extends AppendEndContext {
  readonly lease: Lease
  /** The name of this process as an owner. */
  readonly name: string
  /** Aborted when this process is shut down. */
  readonly signal: AbortSignal
  /** Whether this process runs the source of a run. */
  isOwned(run: RunIdentity): boolean
}

/**
 * Starts runs in the store. A start that failed may be stored nevertheless. Its run has no source, and ends as lost.
 */
export class RunStarts {
  readonly #context: RunStartsContext
  // How many calls are in progress, for each id.
  readonly #pending = new Map<string, number>()
  // The ids whose start failed, each with whether one has failed since the last lookup.
  readonly #failed = new Map<string, boolean>()

  constructor(context: RunStartsContext) {
    this.#context = context
  }

  /** Whether no start is in progress. */
  get isIdle(): boolean {
    return this.#pending.size === 0
  }

  /** Starts a run. Calls `own` if this process owns it. Rejects with `SseError` `ERR_SSE_STORE`. */
  async start(id: string, maxAge: number, own: (state: RunState) => void): Promise<StartedRun> {
    this.#count(id, 1)
    try {
      await this.#context.lease.begin()
      return await this.#start(id, maxAge, own)
    } finally {
      this.#count(id, -1)
    }
  }

  async #start(id: string, maxAge: number, own: (state: RunState) => void): Promise<StartedRun> {
    const { store, lease, name } = this.#context
    const { term } = lease
    try {
      const state = await store.start(id, name, maxAge)
      // Other processes may have ended the run already.
      if (state.isNew && !(lease.isHeld && lease.term === term))
        throw new SseError('ERR_SSE_STORE', 'The process was frozen while it started a run.')
      if (state.isNew) own(state)
      return state
    } catch (error) {
      this.#endUnowned(id)
      throw error
    }
  }

  #count(id: string, change: number): void {
    const count = (this.#pending.get(id) ?? 0) + change
    if (count > 0) this.#pending.set(id, count)
    else this.#pending.delete(id)
  }

  /** Ends the run of a failed start. One loop does that for all failed starts of an id. */
  #endUnowned(id: string): void {
    const isEnding = this.#failed.has(id)
    this.#failed.set(id, true)
    if (!isEnding) void this.#endUntilSettled(id)
  }

  async #endUntilSettled(id: string): Promise<void> {
    const { signal } = this.#context
    for (let retries = 0; !signal.aborted; retries++) {
      // A start that fails during the lookup may have been stored after it.
      this.#failed.set(id, false)
      if ((await this.#isSettled(id)) && !this.#failed.get(id)) break
      await pause(retryDelay(retries), signal, { keepsAlive: false }).catch(() => {})
    }
    this.#failed.delete(id)
  }

  /** Calls `#settle`. A rejection is settled if no retry can succeed. */
  async #isSettled(id: string): Promise<boolean> {
    try {
      return await this.#settle(id)
    } catch (error) {
      return isPermanentError(error)
    }
  }

  /** Ends a run that this process has started but does not own. Resolves with false while that is uncertain. */
  async #settle(id: string): Promise<boolean> {
    const { store, name, isOwned } = this.#context
    const state = await store.find(id)
    if (state?.owner !== name || state.end || isOwned({ id, epoch: state.epoch })) return true
    if (this.#pending.has(id)) return false
    return appendLost(this.#context, id, state)
  }
}
