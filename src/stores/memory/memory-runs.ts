import { clock } from '../../scheduler/clock.ts'
import { BaseRunStore } from '../base-run-store.ts'
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

/** The runs of memory stores. Several `MemoryRuns` on one `RunMemory` behave like those of several processes. */
export class RunMemory {
  readonly runs = new Map<string, MemoryRun>()
  readonly owners = new Map<string, RunOwner>()
}

export class MemoryRuns extends BaseRunStore implements RunStore {
  readonly #memory: RunMemory
  readonly #isShared: boolean

  constructor(memory?: RunMemory) {
    super()
    this.#memory = memory ?? new RunMemory()
    this.#isShared = memory !== undefined
  }

  async start(id: string, owner: string, maxAge: number): Promise<StartedRun> {
    const present = this.#memory.runs.get(id)
    if (present) return { ...present.state, isNew: false }
    const run = new MemoryRun(owner, () => this.#delete(id, run))
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
    if (run) this.#delete(id, run)
    return run !== undefined
  }

  override serve(owner: RunOwner, lease: number): void {
    super.serve(owner, lease)
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
    if (this.owner) this.#memory.owners.delete(this.owner.name)
    if (this.#isShared) return
    for (const run of this.#memory.runs.values()) run.expireAt(undefined)
    this.#memory.runs.clear()
  }

  #find(id: string, epoch: string): MemoryRun | undefined {
    const run = this.#memory.runs.get(id)
    return run?.epoch === epoch ? run : undefined
  }

  #delete(id: string, run: MemoryRun): void {
    run.expireAt(undefined)
    if (this.#memory.runs.get(id) === run) this.#memory.runs.delete(id)
    for (const watcher of [...run.watchers]) watcher.onInterruption()
  }
}
