import { createServer } from 'node:http'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { Clock, clock, TICK } from '../../src/scheduler/clock.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { ClockHold } from '../../src/testing/clock-hold.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { openEvents } from '../../src/testing/open-events.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

afterEach(() => {
  vi.useRealTimers()
  holdClock().release()
})

/** Opens a stream of a real server with its client, and holds the clock of both. */
async function open(options: SseStreamOptions = {}, paused = false) {
  const time = holdClock()
  const streams: SseStream[] = []
  const server = createServer((request, response) =>
    streams.push(createSseStream(request, response, options)),
  )
  const client = await openEvents(server, { paused })
  onTestFinished(() => client.close())
  return { time, client, stream: streams[0] as SseStream }
}

describe('holdClock', () => {
  it('sends one heartbeat per interval, and none before it is due', async () => {
    const { time, client, stream } = await open({ heartbeat: 15_000 })
    time.advance(7_400)
    stream.comment('before')
    await nextTurn()
    time.advance(15_000)
    expect([await client.comment(), await client.comment()]).toEqual(['before', ''])
    time.advance(60_000)
    stream.comment('after')
    const comments = await Promise.all(Array.from({ length: 5 }, () => client.comment()))
    expect(comments).toEqual(['', '', '', '', 'after'])
  })

  it('closes a stream that is not read after its stall timeout', async () => {
    const { time, stream } = await open({ stallTimeout: 30_000, maxBufferedBytes: 1e9 }, true)
    while (stream.send({ data: 'x'.repeat(1024 * 1024) })) await nextTurn()
    const end = closed(stream)
    time.advance(29_900)
    expect(stream.closed).toBe(false)
    time.advance(100)
    expect(await end).toMatchObject({ reason: 'stalled' })
  })

  it('closes a stream at its maximum duration', async () => {
    const { time, client, stream } = await open({ maxDuration: 3_600_000 })
    time.advance(3_600_000 * 0.9 - TICK)
    expect(stream.closed).toBe(false)
    time.advance(3_600_000 * 0.1 + TICK)
    expect(await client.ended()).toBe('end')
    expect(stream.closeReason).toBe('expired')
  })

  it('drives rate limits and flush intervals', async () => {
    const { time, client, stream } = await open({ rateLimit: { eventsPerSecond: 2, burst: 1 } })
    for (const data of ['a', 'b', 'c']) stream.send({ data })
    await client.next()
    time.advance(500)
    expect(await client.next()).toMatchObject({ data: 'b' })
    await settled()
    expect(client.events).toHaveLength(2)
    time.advance(500)
    expect(await client.next()).toMatchObject({ data: 'c' })

    const batching = await open({ flushInterval: 250 })
    batching.stream.send({ data: 'batched' })
    time.advance(200)
    expect(batching.stream.bufferedEvents).toBe(1)
    time.advance(50)
    expect(batching.stream.bufferedEvents).toBe(0)
  })

  it('evicts the events of a memory store by maxAge', async () => {
    const time = holdClock()
    const store = new MemoryStore({ maxAge: 60_000 })
    const hub = new Hub({ store })
    const start = store.position
    await hub.channel('news').publish({ data: 'old' })
    time.advance(59_000)
    expect(store.read(['news'], start, 1)).not.toBe('gap')
    time.advance(2_000)
    expect(store.read(['news'], start, 1)).toBe('gap')
  })

  it('advances a stream that was opened before the clock was held', () => {
    const { transport } = fakeStream({ heartbeat: 1_000 })
    const time = holdClock()
    time.advance(3_000)
    expect(transport.writes.filter((text) => text === ':\n')).toHaveLength(3)
  })

  it('stops time until advance() is called, which rounds up to a tick', () => {
    const time = holdClock()
    const start = clock.now
    const until = performance.now() + 3
    while (performance.now() < until);
    expect(clock.now).toBe(start)
    time.advance(1)
    expect(clock.now).toBe(start + TICK)
    time.advance(250)
    expect(clock.now).toBe(start + 4 * TICK)
    time.advance(0)
    expect(clock.now).toBe(start + 4 * TICK)
  })

  it('continues from the advanced time after release() and never decreases', () => {
    const time = holdClock()
    const start = clock.now
    time.advance(3_600_000)
    time.release()
    time.release()
    expect(clock.now).toBeGreaterThanOrEqual(start + 3_600_000)
    expect(clock.now).toBeLessThan(start + 3_600_000 + 1_000)
    const again = holdClock()
    expect(clock.now).toBeGreaterThanOrEqual(start + 3_600_000)
    again[Symbol.dispose]()
  })

  it('keeps streams open that were opened before and after release()', async () => {
    const { time, stream } = await open()
    time.advance(3_600_000)
    const heldAt = clock.now
    time.release()
    expect(clock.now).toBeGreaterThanOrEqual(heldAt)
    const { stream: next } = await open({ maxDuration: 600_000 })
    holdClock().advance(TICK)
    expect([stream.closed, next.closed]).toEqual([false, false])
  })

  it('throws when the clock is not held or the time is invalid', () => {
    const time = holdClock()
    for (const ms of [Number.POSITIVE_INFINITY, Number.NaN, -1, '5' as never, undefined as never])
      expect(() => time.advance(ms)).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    const start = clock.now
    holdClock().release()
    expect(() => time.advance(3_600_000)).toThrow(
      'The clock was released. Call holdClock() again before advancing it.',
    )
    expect(clock.now).toBeLessThan(start + 3_600_000)
  })

  it('shares one clock between two holders', () => {
    const first = holdClock()
    first.advance(1_000)
    const start = clock.now
    holdClock().advance(1_000)
    expect(clock.now).toBe(start + 1_000)
    first.release()
    expect(clock.now).toBeLessThan(start + 2_000)
  })

  it('works with fake timers that are installed later', () => {
    const time = holdClock()
    vi.useFakeTimers()
    const { transport } = fakeStream({ heartbeat: 1_000 })
    vi.advanceTimersByTime(10_000)
    vi.setSystemTime(0)
    expect(transport.writes).toEqual([])
    time.advance(1_000)
    expect(transport.writes).toEqual([':\n'])
    vi.useRealTimers()
    time.advance(1_000)
    expect(transport.writes).toEqual([':\n', ':\n'])
  })
})

describe('Clock', () => {
  const targetsOf = (count: number, calls: number[]) =>
    Array.from({ length: count }, () => ({ _onTimer: (now: number) => void calls.push(now) }))

  // A clock that was started with fake timers kept waiting for them after they were removed.
  it('runs again after fake timers were removed, once it has been held', async () => {
    const stuck = new Clock()
    const hold = new ClockHold(stuck)
    const calls: number[] = []
    const [first, second, third] = targetsOf(3, calls)
    vi.useFakeTimers()
    stuck.schedule(first as never, stuck.now + 500)
    vi.advanceTimersByTime(60_000)
    expect(calls).toHaveLength(1)
    stuck.schedule(second as never, stuck.now + 500)
    vi.useRealTimers()

    hold.hold()
    hold.advance(500)
    expect(calls).toHaveLength(2)
    hold.release()
    const called = new Promise<number>((resolve) => stuck.schedule({ _onTimer: resolve }, stuck.now + 50))
    stuck.schedule(third as never, stuck.now + 3_600_000)
    const lastHeld = calls[1] ?? 0
    expect(await called).toBeGreaterThan(lastHeld)
  })

  it('calls each target at its tick while it is advanced, including one that reschedules itself', () => {
    const held = new Clock()
    const hold = new ClockHold(held)
    hold.hold()
    const start = held.now
    expect(start % TICK).toBe(0)
    const calls: number[] = []
    const target = {
      _onTimer(now: number) {
        expect(held.now).toBe(now)
        calls.push(now - start)
        held.schedule(target, now + 300)
      },
    }
    held.schedule(target, start + 300)
    hold.advance(1_000)
    expect(calls).toEqual([300, 600, 900])
    expect(held.now).toBe(start + 1_000)
  })

  it('calls overdue targets when it is held', () => {
    const late = new Clock()
    const hold = new ClockHold(late)
    const calls: number[] = []
    const [target] = targetsOf(1, calls)
    late.schedule(target as never, late.now + 1_000)
    const blocked = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 2_000)
    onTestFinished(() => blocked.mockRestore())
    hold.hold()
    expect(calls).toHaveLength(1)
    hold.release()
  })

  it('runs no timer while it is held and one after it is released', () => {
    vi.useFakeTimers()
    const held = new Clock()
    const hold = new ClockHold(held)
    const calls: number[] = []
    const [target] = targetsOf(1, calls)
    hold.hold()
    held.schedule(target as never, held.now + 500)
    expect(vi.getTimerCount()).toBe(0)
    hold.release()
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(500 + 2 * TICK)
    expect(calls).toHaveLength(1)
    held.cancel(target as never)
    expect(vi.getTimerCount()).toBe(0)
    hold.hold()
    hold.release()
    expect(vi.getTimerCount()).toBe(0)
  })
})
