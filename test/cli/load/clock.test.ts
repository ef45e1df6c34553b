import { afterEach, expect, test, vi } from 'vitest'
import { EventClock, fromShared, sharedNow } from '../../../src/cli/load/clock.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

test('the shared time is that of process.hrtime', () => {
  const before = Number(process.hrtime.bigint()) / 1e6
  const shared = sharedNow()
  const after = Number(process.hrtime.bigint()) / 1e6
  expect(shared).toBeGreaterThan(before - 0.1)
  expect(shared).toBeLessThan(after + 0.1)
  expect(fromShared(shared)).toBeCloseTo(
    new EventClock(true).at(fromShared(shared)) - (shared - fromShared(shared)),
    3,
  )
})

test('the clock of events follows a clock of the machine that is adjusted', () => {
  const clock = new EventClock(false)
  const before = clock.at(1000)
  clock.adjust()
  expect(Math.abs(clock.at(1000) - before)).toBeLessThan(1000)
  const now = Date.now
  vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000)
  clock.adjust()
  expect(Math.round((clock.at(1000) - before) / 60_000)).toBe(60)
})

test('the clock of probes does not follow it', () => {
  const clock = new EventClock(true)
  const before = clock.at(0)
  vi.spyOn(Date, 'now').mockReturnValue(0)
  clock.adjust()
  expect(clock.at(0)).toBe(before)
})
