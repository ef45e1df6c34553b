import type { EventEmitter } from 'node:events'
import { describe, describeError } from '../errors.ts'
import { StoreErrorLimit } from '../hub/store-error-limit.ts'

export interface RunsEventMap {
  /**
   * A source failed, or one of the options `endEvent`, `errorMessage` and `merge`. Or the store has rejected the events
   * of a run. Or `onGap` or a read of the store failed and closed a stream; errors of the store are then emitted once
   * in 10 s. `id` is that of the run. Without a listener, the first error is printed.
   */
  error: [error: unknown, id: string]
}

/** Emits the errors that no caller receives as `error`, or prints the first one. */
export class RunErrors {
  readonly #runs: EventEmitter<RunsEventMap>
  readonly #storeErrors = new StoreErrorLimit()
  #hasPrinted = false

  constructor(runs: EventEmitter<RunsEventMap>) {
    this.#runs = runs
  }

  /** Reports an error, unless it is one of the store and another one was reported recently. */
  reportLimited(error: unknown, id: string): void {
    if (this.#storeErrors.passes(error)) this.report(error, id)
  }

  report(error: unknown, id: string): void {
    // Deferred, because a listener that throws must not keep the run from ending.
    queueMicrotask(() => this.#emit(error, id))
  }

  // Counts the listeners at the time of the event, because `once` has removed its listener after an earlier error.
  #emit(error: unknown, id: string): void {
    if (this.#runs.listenerCount('error') > 0) this.#runs.emit('error', error, id)
    else if (!this.#hasPrinted) {
      this.#hasPrinted = true
      const hint = "Spillway prints no further errors of these runs: use runs.on('error', listener)."
      console.error(`The run ${describe(id)} has reported an error. ${hint} ${describeError(error)}`)
    }
  }
}
