import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SharedReads } from '../../../src/stores/broker/shared-reads.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const entries = [{ id: '1-0', channel: 'a', record: '' }]

it('shares one read among all clients at a position, for as long as clients keep coming', async () => {
  const read = vi.fn(async () => entries)
  const reads = new SharedReads(read)
  for (let client = 0; client < 20; client++) {
    expect(await reads.after('0-1')).toBe(entries)
    vi.advanceTimersByTime(500)
  }
  expect(read).toHaveBeenCalledTimes(1)
  vi.advanceTimersByTime(500)
  await reads.after('0-1')
  expect(read).toHaveBeenCalledTimes(2)
  expect(vi.getTimerCount()).toBe(1)
})

it('reads each position separately', async () => {
  const read = vi.fn(async () => entries)
  const reads = new SharedReads(read)
  await Promise.all([reads.after('0-1'), reads.after('0-2'), reads.after('0-1')])
  expect(read.mock.calls).toEqual([['0-1'], ['0-2']])
})

it('reads again at once after a failed read', async () => {
  const read = vi.fn(async () => entries)
  read.mockRejectedValueOnce(new Error('lost'))
  const reads = new SharedReads(read)
  await expect(reads.after('0-1')).rejects.toThrow('lost')
  expect(await reads.after('0-1')).toBe(entries)
})
