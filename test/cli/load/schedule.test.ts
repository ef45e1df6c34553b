import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { RandomSchedule, Schedule, Timetable } from '../../../src/cli/load/schedule.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('a schedule has times at a constant rate that a late start does not shift', () => {
  const schedule = new Schedule(1000, 4)
  expect(schedule.due(999)).toBeUndefined()
  expect([schedule.due(1700), schedule.due(1700), schedule.due(1700), schedule.due(1700)]).toEqual([
    1000,
    1250,
    1500,
    undefined,
  ])
  expect(schedule.next).toBe(1750)
})

test('a timetable makes up for the time of a stall, with the intended times', () => {
  let now = 0
  const intended: number[] = []
  const timetable = new Timetable(
    new Schedule(0, 10),
    () => now,
    (time) => intended.push(time) > 0,
  )
  timetable.start()
  vi.advanceTimersByTime(1)
  now = 350
  vi.advanceTimersByTime(100)
  timetable.stop()
  expect(intended).toEqual([0, 100, 200, 300])
  now = 5000
  vi.advanceTimersByTime(5000)
  expect(intended).toHaveLength(4)
})

test('a timetable ends when its task returns false', () => {
  let runs = 0
  const timetable = new Timetable(new Schedule(0, 1000), Date.now, () => ++runs < 3)
  timetable.start()
  vi.advanceTimersByTime(1000)
  expect(runs).toBe(3)
  expect(vi.getTimerCount()).toBe(0)
})

test('a timetable waits for a time that is beyond the longest timer', () => {
  const timetable = new Timetable(new Schedule(Date.now() + 2 ** 40, 1), Date.now, () => {
    throw new Error('The task ran too early.')
  })
  timetable.start()
  vi.advanceTimersByTime(2 ** 31)
  timetable.stop()
})

test('random times have the given mean rate', () => {
  const schedule = new RandomSchedule(0, 50, () => 1 - Math.exp(-1))
  // The median of an exponential distribution is not its mean, so the fixed number returns one mean interval each time.
  expect(Array.from({ length: 3 }, () => Math.round(schedule.due(1000) ?? -1))).toEqual([20, 40, 60])
})
