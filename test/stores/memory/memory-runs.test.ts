import { MemoryRuns, RunMemory } from '../../../src/stores/memory/memory-runs.ts'
import { runStoreContract } from '../run-store-contract.ts'

const memory = new RunMemory()

runStoreContract('memoryRuns', () => () => new MemoryRuns(memory))
