import { expect, it } from 'vitest'
import { OrderedMap } from '../src/ordered-map.ts'
import { collectGarbage } from './support/garbage.ts'

const heapUsed = () => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

// Each key that is added again would otherwise retain 50 bytes, in total 50 MB.
it('OrderedMap retains nothing for keys that are added again and again while the oldest is not read', () => {
  const map = new OrderedMap<number, number>()
  for (let i = 0; i < 10; i++) map.set(i, i)
  expect(map.oldest).toBe(0)
  const before = heapUsed()
  for (let i = 0; i < 1_000_000; i++) {
    map.delete(i % 10)
    map.set(i % 10, i)
  }
  expect(heapUsed() - before).toBeLessThan(2_000_000)
  expect(map.oldest).toBe(0)
})
