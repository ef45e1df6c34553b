import { expect, test } from 'vitest'
import { MemoryRuns, memoryRuns, RunMemory } from '../../../src/stores/memory/memory-runs.ts'
import { runStoreContract } from '../run-store-contract.ts'

const memory = new RunMemory()

runStoreContract('memoryRuns', () => () => new MemoryRuns(memory))

test('a closed store keeps no run', async () => {
  const store = memoryRuns()
  await store.start('run', 'me', 60_000)
  await store.close()
  expect(store.find('run')).toBeUndefined()
})
