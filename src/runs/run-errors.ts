import type { EventEmitter } from 'node:events'
import { describe } from '../errors.ts'

export interface RunsEventMap {
  /**
   * A source failed, or one of the options `endEvent`, `errorMessage` and `merge`. `id` is that of the run. Without a
   * listener, the first error is printed.
   */
  error: [error: unknown, id: string]
}

/** Emits the errors that no caller receives as `error`, or prints the first one. */
export class RunErrors {
  readonly #runs: EventEmitter<RunsEventMap>
  #hasPrinted = false

  constructor(runs: EventEmitter<RunsEventMap>) {
    this.#runs = runs
  }

  report(error: unknown, id: string): void {
    // Not at once, because a listener that throws must not keep the run from ending.
    if (this.#runs.listenerCount('error') > 0) queueMicrotask(() => this.#runs.emit('error', error, id))
    else if (!this.#hasPrinted) {
      this.#hasPrinted = true
      const hint = "Spillway prints no further errors of these runs: use runs.on('error', listener)."
      const cause = error instanceof Error ? `${error.name}: ${error.message}` : describe(error)
      console.error(`The run ${describe(id)} has reported an error. ${hint} ${cause}`)
    }
  }
}
