import { clock } from '../../scheduler/clock.ts'
import type {
  RunBatch,
  RunOwner,
  RunPosition,
  RunRetention,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StartedRun,
} from '../run-store.ts'
import { MemoryRun } from './memory-run.ts'

/** Returns a store of runs for a single process, which is the default of `Runs`. */
export function memoryRuns(): RunStore {
  return new MemoryRuns()
}

/** Where memory stores keep their runs. Stores that share it behave like those of several processes. */
export class RunMemory {
  readonly runs = new Map<string, MemoryRun>()
  readonly owners = new Map<string, RunOwner>()
}

export class MemoryRuns implements RunStore {
  readonly #memory: RunMemory
  #owner: RunOwner | undefined

  constructor(memory = new RunMemory()) {
    this.#memory = memory
  }

  async start(id: string, owner: string, maxAge: number): Promise<StartedRun> {
    const present = this.#memory.runs.get(id)
    if (present) return { ...present.state, isNew: false }
    const run = new MemoryRun(owner, () => this.#forget(id, run))
    run.expireAt(clock.read() + maxAge)
    this.#memory.runs.set(id, run)
    return { ...run.state, isNew: true }
  }

  append(id: string, epoch: string, batch: RunBatch, retention: RunRetention): boolean {
    return this.#find(id, epoch)?.append(batch, retention) ?? false
  }

  find(id: string): RunState | undefined {
    return this.#memory.runs.get(id)?.state
  }

  read(id: string, epoch: string, after: RunPosition, bytes: number): readonly RunBatch[] | undefined {
    return this.#find(id, epoch)?.read(after.number, bytes)
  }

  watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    const run = this.#find(id, epoch)
    run?.watchers.add(watcher)
    return { close: () => run?.watchers.delete(watcher) }
  }

  isWatched(id: string, epoch: string): boolean {
    return (this.#find(id, epoch)?.watchers.size ?? 0) > 0
  }

  async remove(id: string): Promise<boolean> {
    const run = this.#memory.runs.get(id)
    if (run) this.#forget(id, run)
    return run !== undefined
  }

  serve(owner: RunOwner): void {
    this.#owner = owner
    this.#memory.owners.set(owner.name, owner)
  }

  renew(): void {}

  isAlive(owner: string): boolean {
    return this.#memory.owners.has(owner)
  }

  requestStop(owner: string, id: string, epoch: string): void {
    this.#memory.owners.get(owner)?.onStop(id, epoch)
  }

  async close(): Promise<void> {
    if (this.#owner) this.#memory.owners.delete(this.#owner.name)
  }

  #find(id: string, epoch: string): MemoryRun | undefined {
    const run = this.#memory.runs.get(id)
    return run?.epoch === epoch ? run : undefined
  }

  #forget(id: string, run: MemoryRun): void {
    run.expireAt(undefined)
    if (this.#memory.runs.get(id) === run) this.#memory.runs.delete(id)
    for (const watcher of [...run.watchers]) watcher.onInterruption()
  }
}
