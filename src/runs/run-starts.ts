import { SseError } from '../errors.ts'
import { pause } from '../scheduler/pause.ts'
import type { RunState, StartedRun } from '../stores/run-store.ts'
import { appendLost, type LostRunContext } from './append-lost.ts'
import type { Lease } from './lease.ts'
import type { RunIdentity } from './run-entry.ts'

// The delay before a run is looked up again, in ms.
const RETRY_DELAY = 500

export interface RunStartsContext extends LostRunContext {
  readonly lease: Lease
  /** The name of this process as an owner. */
  readonly name: string
  /** Aborted when this process is shut down. */
  readonly signal: AbortSignal
  /** Whether this process runs the source of a run. */
  isOwned(run: RunIdentity): boolean
}

/** Starts runs in the store. A failed start may be stored all the same. Its run has no source, and ends as lost. */
export class RunStarts {
  readonly #context: RunStartsContext
  // How many calls are in progress, for each id.
  readonly #pending = new Map<string, number>()

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
      const state = await this.#start(id, maxAge)
      if (state.isNew) own(state)
      return state
    } catch (error) {
      void this.#endUnowned(id)
      throw error
    } finally {
      this.#count(id, -1)
    }
  }

  async #start(id: string, maxAge: number): Promise<StartedRun> {
    const { store, lease, name } = this.#context
    await lease.begin()
    const { term } = lease
    const state = await store.start(id, name, maxAge)
    // Others may have ended the run already.
    if (state.isNew && !(lease.isHeld && lease.term === term))
      throw new SseError('ERR_SSE_STORE', 'The process was frozen while it started a run.')
    return state
  }

  #count(id: string, change: number): void {
    const count = (this.#pending.get(id) ?? 0) + change
    if (count > 0) this.#pending.set(id, count)
    else this.#pending.delete(id)
  }

  async #endUnowned(id: string): Promise<void> {
    const { signal } = this.#context
    while (!signal.aborted) {
      try {
        if (await this.#isSettled(id)) return
      } catch {
        // Is tried again.
      }
      await pause(RETRY_DELAY, signal, { keepsAlive: false }).catch(() => {})
    }
  }

  /** Ends a run that this process has started without owning it. Returns false while that is uncertain. */
  async #isSettled(id: string): Promise<boolean> {
    const { store, name, isOwned } = this.#context
    const state = await store.find(id)
    if (state?.owner !== name || state.end || isOwned({ id, epoch: state.epoch })) return true
    if (this.#pending.has(id)) return false
    return appendLost(this.#context, id, state)
  }
}
