import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Clock, TICK } from '../../src/scheduler/clock.ts'
import { expiresAt, nextHeartbeat } from '../../src/scheduler/jitter.ts'
import { nextTurn } from '../support/streams.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const targetOf = (calls: number[]) => ({ _onTimer: (now: number) => calls.push(now) })

describe('Clock', () => {
  it('calls a target once, within two ticks after its deadline', () => {
    const clock = new Clock()
    const calls: number[] = []
    clock.schedule(targetOf(calls), clock.now + 1000)
    vi.advanceTimersByTime(999)
    expect(calls).toEqual([])
    vi.advanceTimersByTime(1 + 2 * TICK)
    expect(calls).toHaveLength(1)
    vi.advanceTimersByTime(10_000)
    expect(calls).toHaveLength(1)
  })

  it('does not call a cancelled target', () => {
    const clock = new Clock()
    const calls: number[] = []
    const target = targetOf(calls)
    clock.schedule(target, clock.now + 1000)
    clock.cancel(target)
    vi.advanceTimersByTime(5000)
    expect(calls).toEqual([])
  })

  it('calls a target once, at its new deadline, when it is scheduled again', () => {
    const clock = new Clock()
    const start = clock.now
    const calls: number[] = []
    const [first, second] = [targetOf(calls), targetOf([])]
    clock.schedule(first, start + 1000)
    clock.schedule(second, start + 1000)
    clock.schedule(first, start + 3000)
    vi.advanceTimersByTime(2500)
    expect(calls).toEqual([])
    vi.advanceTimersByTime(5000)
    expect(calls).toEqual([start + 3000])
  })

  it('ignores that a target is cancelled twice, or after its call', () => {
    const clock = new Clock()
    const calls: number[] = []
    const [target, other] = [targetOf(calls), targetOf(calls)]
    clock.schedule(target, clock.now + 1000)
    clock.schedule(other, clock.now + 3000)
    vi.advanceTimersByTime(2000)
    clock.cancel(target)
    clock.cancel(target)
    expect(calls).toHaveLength(1)
    vi.advanceTimersByTime(2000)
    expect(calls).toHaveLength(2)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('calls the targets of a tick in the order in which they were scheduled', () => {
    const clock = new Clock()
    const calls: string[] = []
    const targets = ['a', 'b', 'c', 'd'].map((name) => ({ _onTimer: () => calls.push(name) }))
    for (const target of targets) clock.schedule(target, clock.now + 1000)
    clock.cancel(targets[1] as (typeof targets)[number])
    clock.schedule(targets[0] as (typeof targets)[number], clock.now + 1000)
    vi.advanceTimersByTime(2000)
    expect(calls).toEqual(['c', 'd', 'a'])
  })

  it('runs one timer for all targets, and none without targets (rule 33)', () => {
    const clock = new Clock()
    expect(vi.getTimerCount()).toBe(0)
    const targets = Array.from({ length: 100 }, () => targetOf([]))
    for (const [i, target] of targets.entries()) clock.schedule(target, clock.now + 1000 + i)
    expect(vi.getTimerCount()).toBe(1)
    for (const target of targets) clock.cancel(target)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('calls all targets that became due while the event loop was blocked', async () => {
    const clock = new Clock()
    const calls: number[] = []
    for (const delay of [500, 1500, 2500]) clock.schedule(targetOf(calls), clock.now + delay)
    const blocked = vi.spyOn(performance, 'now').mockReturnValue(clock.now + 2000)
    onTestFinished(() => blocked.mockRestore())
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    expect(calls).toHaveLength(2)
  })

  it('never calls a target before its deadline', () => {
    const clock = new Clock()
    const start = clock.now
    const early: number[] = []
    for (let delay = 1000; delay < 1000 + 2 * TICK; delay += 7) {
      clock.schedule({ _onTimer: (now) => now < start + delay && early.push(delay) }, start + delay)
    }
    vi.advanceTimersByTime(1000 + 4 * TICK)
    expect(early).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('calls the other targets of a tick when one of them is cancelled', () => {
    const clock = new Clock()
    const calls: number[] = []
    const cancelled = targetOf([])
    clock.schedule(cancelled, clock.now + 1000)
    clock.schedule(targetOf(calls), clock.now + 1000)
    clock.cancel(cancelled)
    vi.advanceTimersByTime(1000 + 2 * TICK)
    expect(calls).toHaveLength(1)
  })

  it('returns the time of the last tick with targets, and the exact time without', () => {
    const clock = new Clock()
    const start = clock.now
    vi.advanceTimersByTime(30)
    expect(clock.now).toBe(start + 30)
    const target = targetOf([])
    clock.schedule(target, clock.now + 1000)
    vi.advanceTimersByTime(TICK - 1)
    expect(clock.now).toBe(start + 30)
    vi.advanceTimersByTime(1)
    expect(clock.now).toBe(start + 30 + TICK)
    clock.cancel(target)
    vi.advanceTimersByTime(30)
    expect(clock.now).toBe(start + 60 + TICK)
  })

  it('does not keep the process alive (rule 33)', () => {
    vi.useRealTimers()
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    const clock = new Clock()
    const target = targetOf([])
    clock.schedule(target, clock.now + 60_000)
    const during = timers()
    clock.cancel(target)
    expect(during).toBe(before)
  })

  it('does not call a target that another target of the same tick cancels', () => {
    const clock = new Clock()
    const calls: number[] = []
    const second = targetOf(calls)
    const deadline = clock.now + 1000
    clock.schedule({ _onTimer: () => clock.cancel(second) }, deadline)
    clock.schedule(second, deadline)
    vi.advanceTimersByTime(3000)
    expect(calls).toEqual([])
  })

  it('allows a target to reschedule itself in its call', () => {
    const clock = new Clock()
    const calls: number[] = []
    const target = {
      _onTimer(now: number) {
        calls.push(now)
        if (calls.length < 3) clock.schedule(target, now + 500)
      },
    }
    clock.schedule(target, clock.now)
    vi.advanceTimersByTime(3000)
    expect(calls).toHaveLength(3)
  })
})

describe('nextHeartbeat', () => {
  it('returns a time half a period to one period after the last write', () => {
    for (let i = 0; i < 1000; i++) {
      const lastWrite = Math.random() * 1e6
      const beat = nextHeartbeat(lastWrite, 15_000, Math.random() * 15_000)
      expect(beat - lastWrite).toBeGreaterThan(7_499)
      expect(beat - lastWrite).toBeLessThanOrEqual(15_000)
    }
  })

  it('returns a time one period after the last heartbeat', () => {
    expect(
      nextHeartbeat(nextHeartbeat(123_456, 15_000, 7_777), 15_000, 7_777) -
        nextHeartbeat(123_456, 15_000, 7_777),
    ).toBe(15_000)
  })

  it('spreads the heartbeats of streams that wrote at the same instant (rule 37)', () => {
    const beats = Array.from({ length: 1000 }, (_, i) => nextHeartbeat(50_000, 15_000, i * 15))
    const inOneSecond = beats.filter((beat) => beat >= 60_000 && beat < 61_000).length
    expect(inOneSecond).toBeGreaterThan(100)
    expect(inOneSecond).toBeLessThan(170)
  })

  it('returns infinity when the period is 0', () => {
    expect(nextHeartbeat(1, 0, 0)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('expiresAt', () => {
  it('returns a random time up to a tenth before the maximum duration (rule 37)', () => {
    const ages = Array.from({ length: 200 }, () => expiresAt(0, 1000))
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(900)
    expect(Math.max(...ages)).toBeLessThanOrEqual(1000)
    expect(new Set(ages).size).toBeGreaterThan(150)
  })
})
