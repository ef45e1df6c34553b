import { expect, it } from 'vitest'
import { IdempotencyKeys } from '../../../src/stores/memory/idempotency-keys.ts'

// Quadratic work would take 20 times as long as the first keys.
it('drops the oldest of many idempotency keys in linear time', () => {
  const count = 150_000
  const keys = new IdempotencyKeys(600_000, count)
  const isKnown = (number: number) => keys.idOf(`${number}`) !== undefined
  const addAll = (first: number) => {
    const began = performance.now()
    let known = 0
    for (let i = first; i < first + count; i++) {
      known += Number(isKnown(i))
      keys.add(`${i}`, `id ${i}`)
    }
    expect(known).toBe(0)
    return performance.now() - began
  }
  const filling = addAll(0)
  expect(addAll(count)).toBeLessThan(5 * filling + 500)
  expect([isKnown(count - 1), isKnown(count)]).toEqual([false, true])
})
