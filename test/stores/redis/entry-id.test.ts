import { expect, it } from 'vitest'
import { compareEntryIds, isEntryId } from '../../../src/stores/redis/entry-id.ts'

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

it.each(['0-1', '1700000000000-0', '1795904462379317-0', '18446744073709551615-18446744073709551615'])(
  'accepts the id %s',
  (id) => expect(isEntryId(id)).toBe(true),
)

it.each([
  '18446744073709551616-0',
  '1-18446744073709551616',
  '99999999999999999999-0',
  `${'9'.repeat(21)}-0`,
  '01-0',
  '1',
  '1-',
  '-1-0',
  '1-0\n',
  '',
])('rejects %j, which is no id', (id) => expect(isEntryId(id)).toBe(false))
