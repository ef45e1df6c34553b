import { expect, test } from 'vitest'
import { entriesOf } from '../../src/runs/run-entry.ts'

const RUN = { id: 'run', epoch: 'e' }
const EVENTS = ['a', 'b', 'c'].map((data) => ({ data, isText: true }))

test.each([
  [0, [5, 6, 7]],
  [4, [5, 6, 7]],
  [5, [6, 7]],
  [7, []],
  [9, []],
])('the entries of a batch after number %s have the numbers %j', (after, numbers) => {
  const entries = entriesOf(RUN, { first: 5, events: EVENTS, end: 'done' }, after)
  expect(entries.map(({ number }) => number)).toEqual(numbers)
  expect(entries.map(({ end }) => end)).toEqual(numbers.map((number) => (number === 7 ? 'done' : undefined)))
})

test('a batch with too large numbers has as many entries as events', () => {
  expect(entriesOf(RUN, { first: 2 ** 53 - 1, events: EVENTS }, 0)).toHaveLength(3)
})
