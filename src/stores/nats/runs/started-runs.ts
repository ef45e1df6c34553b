import { clock, type TimerTarget } from '../../../scheduler/clock.ts'
import type { WritableRun } from './writable-run.ts'

/**
 * The runs that a process has started. The process removes them when they expire. Otherwise, they are kept for the
 * maximum age of the stream.
 */
export class StartedRuns {
  readonly #entries = new Map<string, Entry>()
  readonly #onExpired: (id: string, run: WritableRun) => void
  #isClosed = false

  constructor(onExpired: (id: string, run: WritableRun) => void) {
    this.#onExpired = onExpired
  }

  get(id: string, epoch: string): WritableRun | undefined {
    const run = this.#entries.get(id)?.run
    return run?.epoch === epoch ? run : undefined
  }

  /** Adds a run, unless this is closed. The response to its start may arrive after the close. */
  add(id: string, run: WritableRun): void {
    if (this.#isClosed) return
    this.#entries.get(id)?.cancel()
    const entry = new Entry(run, () => this.#expire(id, entry))
    entry.expireIn(run.remaining)
    this.#entries.set(id, entry)
  }

  /** Notes that the last batch was stored. The run is then kept for `keep` ms, by default for its maximum age. */
  end(id: string, run: WritableRun, keep: number | undefined): void {
    const entry = this.#entries.get(id)
    if (entry?.run === run && keep !== undefined) entry.expireIn(keep)
  }

  delete(id: string, epoch: string | undefined): void {
    const entry = this.#entries.get(id)
    if (entry?.run.epoch !== epoch) return
    entry?.cancel()
    this.#entries.delete(id)
  }

  close(): void {
    this.#isClosed = true
    for (const entry of this.#entries.values()) entry.cancel()
    this.#entries.clear()
  }

  #expire(id: string, entry: Entry): void {
    if (this.#entries.get(id) !== entry) return
    this.#entries.delete(id)
    this.#onExpired(id, entry.run)
  }
}

class Entry implements TimerTarget {
  readonly run: WritableRun
  readonly #onExpired: () => void

  constructor(run: WritableRun, onExpired: () => void) {
    this.run = run
    this.#onExpired = onExpired
  }

  expireIn(time: number): void {
    clock.schedule(this, clock.read() + time)
  }

  cancel(): void {
    clock.cancel(this)
  }

  /** @internal */
  _onTimer(): void {
    this.#onExpired()
  }
}
