import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Clock, TICK } from '../../src/scheduler/clock.ts'
import { expiresAt, nextHeartbeat } from '../../src/scheduler/jitter.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const sleeper = (wakes: number[]) => ({ _onTimer: (now: number) => wakes.push(now) })

describe('Clock', () => {
  it('wakes a sleeper once, within two ticks after its deadline', () => {
    const clock = new Clock()
    const wakes: number[] = []
    clock.schedule(sleeper(wakes), clock.now + 1000)
    vi.advanceTimersByTime(999)
    expect(wakes).toEqual([])
    vi.advanceTimersByTime(1 + 2 * TICK)
    expect(wakes).toHaveLength(1)
    vi.advanceTimersByTime(10_000)
    expect(wakes).toHaveLength(1)
  })

  it('does not wake a sleeper that was forgotten', () => {
    const clock = new Clock()
    const wakes: number[] = []
    const bed = sleeper(wakes)
    clock.cancel(bed, clock.schedule(bed, clock.now + 1000))
    vi.advanceTimersByTime(5000)
    expect(wakes).toEqual([])
  })

  it('runs one timer for everybody, and none when nobody sleeps (rule 33)', () => {
    const clock = new Clock()
    expect(vi.getTimerCount()).toBe(0)
    const beds = Array.from({ length: 100 }, () => sleeper([]))
    const ticks = beds.map((bed, i) => clock.schedule(bed, clock.now + 1000 + i))
    expect(vi.getTimerCount()).toBe(1)
    for (const [i, bed] of beds.entries()) clock.cancel(bed, ticks[i] as number)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('wakes all that fell due while the event loop was blocked', () => {
    const clock = new Clock()
    const wakes: number[] = []
    for (const delay of [500, 1500, 2500]) clock.schedule(sleeper(wakes), clock.now + delay)
    const blocked = vi.spyOn(performance, 'now').mockReturnValue(clock.now + 2000)
    onTestFinished(() => blocked.mockRestore())
    vi.advanceTimersByTime(TICK)
    expect(wakes).toHaveLength(2)
  })

  it('wakes nobody before the deadline, wherever in a tick it lies', () => {
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

  it('wakes the others of a tick that one of them was forgotten from', () => {
    const clock = new Clock()
    const wakes: number[] = []
    const forgotten = sleeper([])
    const tick = clock.schedule(forgotten, clock.now + 1000)
    clock.schedule(sleeper(wakes), clock.now + 1000)
    clock.cancel(forgotten, tick)
    vi.advanceTimersByTime(1000 + 2 * TICK)
    expect(wakes).toHaveLength(1)
  })

  it('tells the time of the last tick while somebody sleeps, and the exact time while nobody does', () => {
    const clock = new Clock()
    const start = clock.now
    vi.advanceTimersByTime(30)
    expect(clock.now).toBe(start + 30)
    const bed = sleeper([])
    const tick = clock.schedule(bed, clock.now + 1000)
    vi.advanceTimersByTime(TICK - 1)
    expect(clock.now).toBe(start + 30)
    vi.advanceTimersByTime(1)
    expect(clock.now).toBe(start + 30 + TICK)
    clock.cancel(bed, tick)
    vi.advanceTimersByTime(30)
    expect(clock.now).toBe(start + 60 + TICK)
  })

  it('does not keep the process alive (rule 33)', () => {
    vi.useRealTimers()
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = timers()
    const clock = new Clock()
    const bed = sleeper([])
    const tick = clock.schedule(bed, clock.now + 60_000)
    const during = timers()
    clock.cancel(bed, tick)
    expect(during).toBe(before)
  })

  it('does not wake a sleeper that another of the same tick has forgotten', () => {
    const clock = new Clock()
    const wakes: number[] = []
    const second = sleeper(wakes)
    const bed = clock.now + 1000
    let tick = 0
    clock.schedule({ _onTimer: () => clock.cancel(second, tick) }, bed)
    tick = clock.schedule(second, bed)
    vi.advanceTimersByTime(3000)
    expect(wakes).toEqual([])
  })

  it('lets a sleeper go back to sleep from within its wake', () => {
    const clock = new Clock()
    const wakes: number[] = []
    const bed = {
      _onTimer(now: number) {
        wakes.push(now)
        if (wakes.length < 3) clock.schedule(bed, now + 500)
      },
    }
    clock.schedule(bed, clock.now)
    vi.advanceTimersByTime(3000)
    expect(wakes).toHaveLength(3)
  })
})

describe('nextBeat', () => {
  it('comes within one period of silence, and not before half of it', () => {
    for (let i = 0; i < 1000; i++) {
      const lastWrite = Math.random() * 1e6
      const beat = nextHeartbeat(lastWrite, 15_000, Math.random() * 15_000)
      expect(beat - lastWrite).toBeGreaterThan(7_499)
      expect(beat - lastWrite).toBeLessThanOrEqual(15_000)
    }
  })

  it('comes once a period when nothing else is written', () => {
    expect(
      nextHeartbeat(nextHeartbeat(123_456, 15_000, 7_777), 15_000, 7_777) -
        nextHeartbeat(123_456, 15_000, 7_777),
    ).toBe(15_000)
  })

  it('is spread for streams that were written to at the same instant (rule 37)', () => {
    const beats = Array.from({ length: 1000 }, (_, i) => nextHeartbeat(50_000, 15_000, i * 15))
    const inOneSecond = beats.filter((beat) => beat >= 60_000 && beat < 61_000).length
    expect(inOneSecond).toBeGreaterThan(100)
    expect(inOneSecond).toBeLessThan(170)
  })

  it('never comes when the period is 0', () => {
    expect(nextHeartbeat(1, 0, 0)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('expiry', () => {
  it('comes up to a tenth earlier, differently for each stream (rule 37)', () => {
    const ages = Array.from({ length: 200 }, () => expiresAt(0, 1000))
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(900)
    expect(Math.max(...ages)).toBeLessThanOrEqual(1000)
    expect(new Set(ages).size).toBeGreaterThan(150)
  })
})
