import { MemoryRuns } from '../../src/stores/memory/memory-runs.ts'
import type { RunBatch, RunPosition, RunWatch, RunWatcher } from '../../src/stores/run-store.ts'

/** Returns a batch with one event, whose data is its number. */
export function batchAt(first: number): RunBatch {
  return { first, events: [{ event: 'text', data: `${first}`, isText: true }] }
}

/** A store whose runs keep only event 10. A test reports changes of a run through `watcher`. */
export class EvictingRuns extends MemoryRuns {
  watcher: RunWatcher | undefined

  override watch(_id: string, _epoch: string, watcher: RunWatcher): RunWatch {
    this.watcher = watcher
    return { close: () => {} }
  }

  override read(_id: string, _epoch: string, { number }: RunPosition): readonly RunBatch[] {
    return number < 10 ? [batchAt(10)] : []
  }
}
