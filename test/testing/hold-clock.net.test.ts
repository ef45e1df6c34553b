import { createServer } from 'node:http'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { Clock, clock, TICK } from '../../src/scheduler/clock.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { openEvents } from '../../src/testing/open-events.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

afterEach(() => {
  vi.useRealTimers()
  holdClock().release()
})

/** A stream of a real server, its client, and the clock of both in hand. */
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
  it('beats once each time the heartbeat is due, and not before', async () => {
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

  it('has a stream stall that is not read', async () => {
    const { time, stream } = await open({ stallTimeout: 30_000, maxBufferedBytes: 1e9 }, true)
    while (stream.send({ data: 'x'.repeat(1024 * 1024) })) await nextTurn()
    const end = closed(stream)
    time.advance(29_900)
    expect(stream.closed).toBe(false)
    time.advance(100)
    expect(await end).toMatchObject({ reason: 'stalled' })
  })

  it('has a stream end at its maximum age', async () => {
    const { time, client, stream } = await open({ maxDuration: 3_600_000 })
    time.advance(3_600_000 * 0.9 - TICK)
    expect(stream.closed).toBe(false)
    time.advance(3_600_000 * 0.1 + TICK)
    expect(await client.ended()).toBe('end')
    expect(stream.closeReason).toBe('expired')
  })

  it('keeps a rate and a flush interval', async () => {
    const { time, client, stream } = await open({ rateLimit: { eventsPerSecond: 2, burst: 1 } })
    for (const data of ['a', 'b', 'c']) stream.send({ data })
    await client.next()
    time.advance(500)
    expect(await client.next()).toMatchObject({ data: 'b' })
    await settled()
    expect(client.events).toHaveLength(2)
    time.advance(500)
    expect(await client.next()).toMatchObject({ data: 'c' })

    const gathering = await open({ flushInterval: 250 })
    gathering.stream.send({ data: 'gathered' })
    time.advance(200)
    expect(gathering.stream.bufferedEvents).toBe(1)
    time.advance(50)
    expect(gathering.stream.bufferedEvents).toBe(0)
  })

  it('ages the events of a memory log', async () => {
    const time = holdClock()
    const log = new MemoryStore({ maxAge: 60_000 })
    const hub = new Hub({ store: log })
    const start = log.position
    await hub.channel('news').publish({ data: 'old' })
    time.advance(59_000)
    expect(log.read(['news'], start, 1)).not.toBe('gap')
    time.advance(2_000)
    expect(log.read(['news'], start, 1)).toBe('gap')
  })

  it('holds and moves a stream that was there before', () => {
    const { transport } = fakeStream({ heartbeat: 1_000 })
    const time = holdClock()
    time.advance(3_000)
    expect(transport.writes.filter((text) => text === ':\n')).toHaveLength(3)
  })

  it('stands still by itself, and rounds up to a tick', () => {
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

  it('lets time go on from where it was, and never back', () => {
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

  it('never goes back for streams that are open, and those opened next live as long as they should', async () => {
    const { time, stream } = await open()
    time.advance(3_600_000)
    const heldAt = clock.now
    time.release()
    expect(clock.now).toBeGreaterThanOrEqual(heldAt)
    const { stream: next } = await open({ maxDuration: 600_000 })
    holdClock().advance(TICK)
    expect([stream.closed, next.closed]).toEqual([false, false])
  })

  it('refuses to be advanced when it is not held, and by what is no time', () => {
    const time = holdClock()
    for (const ms of [Number.POSITIVE_INFINITY, Number.NaN, -1, '5' as never])
      expect(() => time.advance(ms)).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    const start = clock.now
    holdClock().release()
    expect(() => time.advance(3_600_000)).toThrow('The clock was released: hold it again to advance it.')
    expect(clock.now).toBeLessThan(start + 3_600_000)
  })

  it('is one and the same when it is used twice', () => {
    const first = holdClock()
    first.advance(1_000)
    const start = clock.now
    holdClock().advance(1_000)
    expect(clock.now).toBe(start + 1_000)
    first.release()
    expect(clock.now).toBeLessThan(start + 2_000)
  })

  it('does not mind fake timers, whichever comes first', () => {
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
  const beds = (count: number, wakes: number[]) =>
    Array.from({ length: count }, () => ({ _onTimer: (now: number) => void wakes.push(now) }))

  // A clock that was started on fake timers kept waiting for them when they were gone.
  it('goes again after fake timers that are gone, once it was held', async () => {
    const lame = new Clock()
    const wakes: number[] = []
    const [first, second, third] = beds(3, wakes)
    vi.useFakeTimers()
    lame.schedule(first as never, lame.now + 500)
    vi.advanceTimersByTime(60_000)
    expect(wakes).toHaveLength(1)
    lame.schedule(second as never, lame.now + 500)
    vi.useRealTimers()

    lame._hold()
    lame._advance(500)
    expect(wakes).toHaveLength(2)
    lame._release()
    const woken = new Promise<number>((resolve) => lame.schedule({ _onTimer: resolve }, lame.now + 50))
    lame.schedule(third as never, lame.now + 3_600_000)
    const lastHeld = wakes[1] ?? 0
    expect(await woken).toBeGreaterThan(lastHeld)
  })

  it('wakes each sleeper in its tick while it is advanced, also one that goes back to sleep', () => {
    const held = new Clock()
    held._hold()
    const start = held.now
    expect(start % TICK).toBe(0)
    const wakes: number[] = []
    const sleeper = {
      _onTimer(now: number) {
        expect(held.now).toBe(now)
        wakes.push(now - start)
        held.schedule(sleeper, now + 300)
      },
    }
    held.schedule(sleeper, start + 300)
    held._advance(1_000)
    expect(wakes).toEqual([300, 600, 900])
    expect(held.now).toBe(start + 1_000)
  })

  it('wakes at once whom it should have woken before it was held', () => {
    const late = new Clock()
    const wakes: number[] = []
    const [sleeper] = beds(1, wakes)
    late.schedule(sleeper as never, late.now + 1_000)
    const blocked = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 2_000)
    onTestFinished(() => blocked.mockRestore())
    late._hold()
    expect(wakes).toHaveLength(1)
    late._release()
  })

  it('runs no timer while it is held, and its own when it is released', () => {
    vi.useFakeTimers()
    const held = new Clock()
    const wakes: number[] = []
    const [sleeper] = beds(1, wakes)
    held._hold()
    const tick = held.schedule(sleeper as never, held.now + 500)
    expect(vi.getTimerCount()).toBe(0)
    held._release()
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(500 + 2 * TICK)
    expect(wakes).toHaveLength(1)
    held.cancel(sleeper as never, tick)
    expect(vi.getTimerCount()).toBe(0)
    held._hold()
    held._release()
    expect(vi.getTimerCount()).toBe(0)
  })
})
