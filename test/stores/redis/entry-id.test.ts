import { expect, it } from 'vitest'
import { compareEntryIds } from '../../../src/stores/redis/entry-id.ts'

it.each([
  ['1-0', '2-0', -1],
  ['10-0', '9-0', 1],
  ['5-10', '5-9', 1],
  ['5-1', '5-1', 0],
  // Redis counts in 64 bits.
  ['1-9007199254740993', '1-9007199254740992', 1],
  ['18446744073709551614-0', '18446744073709551615-0', -1],
])('compares the ids %s and %s', (a, b, order) => {
  expect([Math.sign(compareEntryIds(a, b)), Math.sign(compareEntryIds(b, a))]).toEqual([order, 0 - order])
})
