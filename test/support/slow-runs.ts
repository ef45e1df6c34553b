import { MemoryRuns } from '../../src/stores/memory/memory-runs.ts'
import type {
  RunPosition,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StoredBatch,
} from '../../src/stores/run-store.ts'
import { deferred } from './deferred.ts'
import { settled } from './streams.ts'

/** A store of runs that takes some turns to respond, as a store on a broker does. */
export class SlowRuns extends MemoryRuns implements RunStore {
  #held: Promise<void> | undefined

  /** Makes further requests wait until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = deferred<void>()
    this.#held = promise
    return resolve
  }

  // @ts-expect-error: a store may be asynchronous where the store in memory is not.
  override async find(id: string): Promise<RunState | undefined> {
    await this.#wait()
    return super.find(id)
  }

  // @ts-expect-error: the same.
  override async read(
    id: string,
    epoch: string,
    after: RunPosition,
    bytes: number,
  ): Promise<readonly StoredBatch[] | undefined> {
    await this.#wait()
    return super.read(id, epoch, after, bytes)
  }

  override watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    return { ...super.watch(id, epoch, watcher), ready: this.#wait() }
  }

  async #wait(): Promise<void> {
    await settled()
    await this.#held
  }
}
