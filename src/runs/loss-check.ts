import { pause } from '../scheduler/pause.ts'
import type { RunEndReason, RunStore } from '../stores/run-store.ts'
import type { RunIdentity } from './run-entry.ts'

// The delay before a lookup, in ms.
const DELAY = 50
// How many consecutive lookups must lack events. A replica of a store may be late.
const MISSES = 20

/** A run as this process has received it. */
export interface ReceivedRun extends RunIdentity {
  readonly position: number
  readonly end: RunEndReason | undefined
}

/**
 * `same`: the store has all events that this process has received. `late`: it lacks some and may be late. `lost`: it
 * has lost them, for example in a failover. `removed`: it has no such run.
 */
export type LossVerdict = 'same' | 'late' | 'lost' | 'removed'

/** Checks whether the store has lost acknowledged events of a run. */
export class LossCheck {
  readonly #store: RunStore
  readonly #run: ReceivedRun
  readonly #signal: AbortSignal
  #misses = 0
  #checking: Promise<LossVerdict> | undefined

  /** The signal aborts a lookup. */
  constructor(store: RunStore, run: ReceivedRun, signal: AbortSignal) {
    this.#store = store
    this.#run = run
    this.#signal = signal
  }

  /** Looks the run up after a delay. Calls at the same time share a lookup. Resolves with `late` if it fails. */
  check(): Promise<LossVerdict> {
    this.#checking ??= this.#check()
      .catch((): LossVerdict => 'late')
      .finally(() => {
        this.#checking = undefined
      })
    return this.#checking
  }

  async #check(): Promise<LossVerdict> {
    await pause(DELAY, this.#signal)
    const { position } = this.#run
    const state = await this.#store.find(this.#run.id)
    if (state?.epoch !== this.#run.epoch) return 'removed'
    // An end that this process has not received may have the number of an event that was lost.
    const hasLost = state.last < position || (state.last === position && state.end && !this.#run.end)
    if (!hasLost) this.#misses = 0
    else this.#misses += 1
    // Nothing is appended after an end, so that a late replica does not have it either.
    if (hasLost && (state.end || this.#misses >= MISSES)) return 'lost'
    return hasLost ? 'late' : 'same'
  }
}
