import { expect, test } from 'vitest'
import { CountMemory, MemoryCounts, memoryCounts } from '../../../src/stores/memory/memory-counts.ts'
import { countsContract } from '../counts-contract.ts'

const memory = new CountMemory()

countsContract('memoryCounts', async () => async () => {
  const counts = new MemoryCounts(memory)
  return { counts, die: () => counts.close() }
})

test('keys without streams occupy no memory', () => {
  expect(memory.totals.size).toBe(0)
})

test('counts of two objects are separate unless they share their memory', () => {
  expect(memoryCounts().acquire('key', 1)).toBe(true)
  expect(memoryCounts().acquire('key', 1)).toBe(true)
})
