import type { OwnedRun } from './owned-run.ts'
import type { RunIdentity } from './run-entry.ts'

/** The runs whose sources this process runs, until they have ended. */
export class OwnedRuns implements Iterable<OwnedRun> {
  readonly #all = new Set<OwnedRun>()
  // The newest run of each id. An earlier one may still close its source after the store has removed it.
  readonly #newest = new Map<string, OwnedRun>()

  /** The number of runs, including those that the store has removed. */
  get size(): number {
    return this.#all.size
  }

  /** Returns the newest run with an id. */
  get(id: string): OwnedRun | undefined {
    return this.#newest.get(id)
  }

  /** Returns a run, unless a newer one has its id. */
  find({ id, epoch }: RunIdentity): OwnedRun | undefined {
    const run = this.#newest.get(id)
    return run?.epoch === epoch ? run : undefined
  }

  /** Adds a run that the store has started. Stops an earlier one with its id, because the store has removed it. */
  add(run: OwnedRun): void {
    this.#newest.get(run.id)?.stop('lost')
    this.#newest.set(run.id, run)
    this.#all.add(run)
  }

  delete(run: OwnedRun): void {
    this.#all.delete(run)
    if (this.#newest.get(run.id) === run) this.#newest.delete(run.id)
  }

  [Symbol.iterator](): Iterator<OwnedRun> {
    return this.#all.values()
  }
}
