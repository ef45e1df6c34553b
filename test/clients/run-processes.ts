import type { RunsOptions } from '../../src/runs/run-options.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { OpenRunStore } from '../stores/run-store-contract.ts'
import { openRuns } from '../support/runs.ts'

/** Returns a function that opens the stores of processes with the same runs, which no other test has. */
export type ConnectRunStores = () => OpenRunStore

export function inMemory(): OpenRunStore {
  const memory = new RunMemory()
  return () => new MemoryRuns(memory)
}

/** Returns the `Runs` of two processes. `die` ends what the first one does for the others to notice it. */
export async function openProcesses(connect: ConnectRunStores, options: RunsOptions = {}) {
  const open = connect()
  const [own, other] = [await open(), await open()]
  const first = openRuns({ ...options, store: own })
  const second = openRuns({ ...options, store: other })
  return { first, second, die: () => own.close() }
}
