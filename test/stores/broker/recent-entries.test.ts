import { expect, test } from 'vitest'
import { RecentEntries } from '../../../src/stores/broker/recent-entries.ts'
import { LogEntry } from '../../../src/stores/log-entry.ts'

test('RecentEntries counts an entry at its start once, because it is read from the broker', () => {
  const entries = new RecentEntries(10, 10_000)
  for (const id of ['1', '2', '3']) entries.push(new LogEntry(id, { channel: 'a', data: id }), 0)
  entries.begin('3')
  expect(entries.start).toBe('1')
  expect(entries.newest(new Set(['a']), 3)).toEqual({ count: 2, after: '1' })
  expect(entries.newest(new Set(['a']), 2)).toEqual({ count: 2, after: '1' })
})
