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

test('RecentEntries counts the memory of its entries, and of positions without an event', () => {
  const first = new LogEntry('1', { channel: 'a', data: 'x'.repeat(100) })
  const entries = new RecentEntries(100_000, 10 * first.footprint)
  for (let i = 0; i < 30; i++) entries.push(new LogEntry(`${i}`, { channel: 'a', data: 'x'.repeat(100) }), 0)
  expect(entries.newest(new Set(['a']), 100).count).toBe(9)
  for (let i = 0; i < 1_000; i++) entries.push({ id: `none-${i}`, size: 0 }, 0)
  expect(entries.newest(new Set(['a']), 100).count).toBe(0)
  expect(entries.has('none-999')).toBe(true)
  expect(entries.has('none-500')).toBe(false)
})

test.each([1, 2, 3, 4, 5, 8, 9, 16, 64])(
  'RecentEntries returns the start before the oldest of %d entries',
  (count) => {
    const entries = new RecentEntries(100, 1_000_000)
    entries.start = 'start'
    for (let i = 1; i <= count; i++) entries.push(new LogEntry(`${i}`, { channel: 'a', data: '' }), 0)
    expect(entries.newest(new Set(['a']), count)).toEqual({ count, after: 'start' })
  },
)

test('RecentEntries keeps its start as a position between few entries', () => {
  const entries = new RecentEntries(100, 1_000_000)
  entries.start = 'start'
  expect(entries.inner).toBe('start')
  for (let i = 1; i <= 8; i++) {
    entries.push(new LogEntry(`${i}`, { channel: 'a', data: '' }), 0)
    expect(entries.inner).toBe(i === 1 ? 'start' : `${Math.floor(i / 2)}`)
  }
})
