import { expect, it } from 'vitest'
import { IdempotencyKeys } from '../../../src/stores/memory/idempotency-keys.ts'
import { countIterators } from '../../support/iterators.ts'

it('drops the oldest of many idempotency keys without an iterator for each', () => {
  const count = 10_000
  const keys = new IdempotencyKeys(600_000, count)
  const isKnown = (number: number) => keys.idOf(`${number}`) !== undefined
  const iterators = countIterators()
  for (let i = 0; i < 2 * count; i++) {
    expect(isKnown(i)).toBe(false)
    keys.add(`${i}`, `id ${i}`)
  }
  expect(iterators()).toBeLessThan(100)
  expect([isKnown(count - 1), isKnown(count)]).toEqual([false, true])
})
