import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { rateLimiterFor } from '../../src/stream/rate-limit.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const sent = (transport: { writes: string[] }) =>
  [...transport.writes.join('').matchAll(/data: (.*)/g)].map((m) => m[1])

describe('a rate limit', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('sends a burst and then eventsPerSecond', async () => {
    const { stream, transport } = fakeStream({ rateLimit: { eventsPerSecond: 10, burst: 3 }, heartbeat: 0 })
    for (let i = 0; i < 20; i++) stream.send({ data: i })
    await nextTurn()
    expect(sent(transport)).toEqual(['0', '1', '2'])
    vi.advanceTimersByTime(1_000)
    const count = sent(transport).length
    expect(count).toBeGreaterThanOrEqual(11)
    expect(count).toBeLessThanOrEqual(14)
    vi.advanceTimersByTime(2_000)
    expect(sent(transport)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  it.each(['drop-oldest', 'drop-newest'] as const)(
    'emits drain after send returned false with %s',
    async (overflow) => {
      const rateLimit = { eventsPerSecond: 10, burst: 1 }
      const { stream } = fakeStream({ rateLimit, overflow, maxBufferedEvents: 1, heartbeat: 0 })
      const drained = vi.fn()
      stream.on('drain', drained)
      expect([1, 2, 3].map((data) => stream.send({ data }))).toEqual([true, true, false])
      expect(drained).not.toHaveBeenCalled()
      vi.advanceTimersByTime(1_000)
      expect(stream.bufferedEvents).toBe(0)
      expect(drained).toHaveBeenCalledTimes(1)
    },
  )

  it.each(['close', 'drop-oldest', 'drop-newest'] as const)(
    'with conflate reports no drop of an event that is replaced while the client is behind, with %s',
    async (overflow) => {
      const rateLimit = { eventsPerSecond: 1, burst: 1, excess: 'conflate' as const }
      const { stream, transport } = fakeStream({ rateLimit, overflow, heartbeat: 0, stallTimeout: 0 })
      const dropped = vi.fn()
      stream.on('drop', dropped)
      for (const event of ['first', 'a', 'b']) stream.send({ event, data: `${event} 1` })
      await nextTurn()
      transport.isFull = true
      vi.advanceTimersByTime(1_200)
      expect(sent(transport)).toEqual(['first 1', 'a 1'])
      stream.send({ event: 'b', data: 'b 2' })
      await settled()
      transport.drain()
      vi.advanceTimersByTime(1_200)
      expect(sent(transport)).toEqual(['first 1', 'a 1', 'b 2'])
      expect(dropped).not.toHaveBeenCalled()
    },
  )

  it('accumulates unused tokens up to the burst', async () => {
    const { stream, transport } = fakeStream({ rateLimit: { eventsPerSecond: 5 }, heartbeat: 0 })
    stream.send({ data: 'first' })
    await nextTurn()
    vi.advanceTimersByTime(60_000)
    for (let i = 0; i < 20; i++) stream.send({ data: i })
    await nextTurn()
    expect(sent(transport)).toHaveLength(6)
  })

  it.each([
    { eventsPerSecond: 100, burst: 1 },
    { eventsPerSecond: 70, burst: 3 },
    { eventsPerSecond: 3, burst: 1 },
    { eventsPerSecond: 0.7, burst: 1 },
  ])('sends eventsPerSecond on average with %j', async (rateLimit) => {
    const { stream, transport } = fakeStream({ rateLimit, heartbeat: 0, maxBufferedEvents: 10_000 })
    for (let i = 0; i < 5_000; i++) stream.send({ data: i })
    await nextTurn()
    vi.advanceTimersByTime(30_000)
    const expected = rateLimit.eventsPerSecond * 30
    expect(sent(transport).length).toBeGreaterThanOrEqual(Math.floor(expected * 0.98) - 1)
    expect(sent(transport).length).toBeLessThanOrEqual(Math.ceil(expected) + rateLimit.burst)
  })

  it('does not delay events below the rate, whatever the burst', async () => {
    const rateLimit = { eventsPerSecond: 100, burst: 1 }
    // The clock ticks because of the heartbeat.
    const { stream, transport } = fakeStream({ rateLimit, heartbeat: 15_000 })
    for (let i = 0; i < 50; i++) {
      stream.send({ data: i })
      await nextTurn()
      expect(sent(transport)).toHaveLength(i + 1)
      vi.advanceTimersByTime(20)
    }
  })

  it('sends at most a burst after a pause, also after events were delayed', async () => {
    const rateLimit = { eventsPerSecond: 100, burst: 2 }
    const { stream, transport } = fakeStream({ rateLimit, heartbeat: 0 })
    for (let i = 0; i < 12; i++) stream.send({ data: i })
    await nextTurn()
    vi.advanceTimersByTime(60_000)
    expect(sent(transport)).toHaveLength(12)
    for (let i = 0; i < 20; i++) stream.send({ data: i })
    await nextTurn()
    expect(sent(transport)).toHaveLength(14)
  })

  it('counts the events of a replay and those after it together', async () => {
    const rateLimit = { eventsPerSecond: 5, burst: 5 }
    const replay = () => Array.from({ length: 5 }, (_, i) => ({ data: `missed ${i}` }))
    const { stream, transport } = fakeStream({ rateLimit, replay, heartbeat: 0 }, '0')
    await settled()
    for (let i = 0; i < 5; i++) stream.send({ data: `live ${i}` })
    await settled()
    expect(sent(transport)).toEqual([0, 1, 2, 3, 4].map((i) => `missed ${i}`))
    vi.advanceTimersByTime(300)
    expect(sent(transport).slice(5)).toEqual(['live 0'])
  })

  it('queues only the newest event per key with excess conflate', async () => {
    const rateLimit = { eventsPerSecond: 1, burst: 1, excess: 'conflate' as const }
    const { stream, transport } = fakeStream({ rateLimit, heartbeat: 0 })
    stream.send({ key: 'x', data: 'first' })
    await nextTurn()
    stream.send({ key: 'x', data: 'x0' })
    await nextTurn()
    for (let i = 1; i < 50; i++) {
      stream.send({ key: 'x', data: `x${i}` })
      stream.send({ key: 'y', data: `y${i}` })
    }
    await nextTurn()
    expect(stream.bufferedEvents).toBe(2)
    vi.advanceTimersByTime(5_000)
    expect(sent(transport)).toEqual(['first', 'x49', 'y49'])
  })

  it('conflates the events of one turn that are over the rate', async () => {
    const rateLimit = { eventsPerSecond: 1, burst: 1, excess: 'conflate' as const }
    const { stream } = fakeStream({ rateLimit, heartbeat: 0 })

    for (let i = 0; i < 50; i++) stream.send({ key: 'x', data: `${i}` })
    await nextTurn()

    expect(stream.bufferedEvents).toBe(1)
  })

  it('counts an event that is larger than the limit of the queue', async () => {
    const rateLimit = { eventsPerSecond: 1, burst: 1 }
    const { stream, transport } = fakeStream({ maxBufferedBytes: 100, rateLimit, heartbeat: 0 })

    stream.send({ data: 'x'.repeat(200) })
    await nextTurn()
    stream.send({ data: 'next' })
    await nextTurn()

    expect(transport.writes).toHaveLength(1)
    expect(stream.bufferedEvents).toBe(1)
  })

  it('counts queued events toward maxBufferedEvents', async () => {
    const { stream } = fakeStream({
      rateLimit: { eventsPerSecond: 1, burst: 1 },
      maxBufferedEvents: 5,
      heartbeat: 0,
    })
    for (let i = 0; i < 10; i++) stream.send({ data: i })
    await nextTurn()
    expect(stream.closeReason).toBe('overflow')
  })

  it('limits events that a hub publishes', async () => {
    const channel = new Hub().channel('ticks')
    const { stream, transport } = fakeStream({ rateLimit: { eventsPerSecond: 10, burst: 2 }, heartbeat: 0 })
    channel.subscribe(stream)
    for (let i = 0; i < 5; i++) {
      await channel.publish({ data: i })
      await nextTurn()
    }
    expect(sent(transport)).toEqual(['0', '1'])
    vi.advanceTimersByTime(500)
    expect(sent(transport)).toEqual(['0', '1', '2', '3', '4'])
  })

  it('sends all queued events before close() ends the response', async () => {
    const { stream, transport } = fakeStream({ rateLimit: { eventsPerSecond: 10, burst: 1 }, heartbeat: 0 })
    for (let i = 0; i < 5; i++) stream.send({ data: i })
    stream.close()
    expect(transport.isEnded).toBe(false)
    vi.advanceTimersByTime(1_000)
    expect(sent(transport)).toEqual(['0', '1', '2', '3', '4'])
    expect(transport.isEnded).toBe(true)
  })

  it('sends the events of one flushInterval in one write', async () => {
    const { stream, transport } = fakeStream({ flushInterval: 500, heartbeat: 0 })
    for (let i = 0; i < 4; i++) {
      stream.send({ data: i })
      vi.advanceTimersByTime(100)
      await nextTurn()
    }
    expect(transport.writes).toEqual([])
    vi.advanceTimersByTime(300)
    expect(transport.writes).toHaveLength(1)
    expect(sent(transport)).toEqual(['0', '1', '2', '3'])
  })

  it('makes send() return false for a dropped event', async () => {
    const { stream } = fakeStream({
      rateLimit: { eventsPerSecond: 1, burst: 1 },
      maxBufferedEvents: 1,
      overflow: 'drop-newest',
      heartbeat: 0,
    })
    stream.send({ data: 1 })
    await nextTurn()
    expect([2, 3].map((data) => stream.send({ data }))).toEqual([true, false])
  })

  it('sends events that a hub publishes within one flushInterval in one write', async () => {
    const channel = new Hub().channel('ticks')
    const { stream, transport } = fakeStream({ flushInterval: 500, heartbeat: 0 })
    channel.subscribe(stream)
    for (let i = 0; i < 3; i++) {
      await channel.publish({ data: i })
      await nextTurn()
    }
    expect(transport.writes).toEqual([])
    vi.advanceTimersByTime(700)
    expect(transport.writes).toHaveLength(1)
  })

  it('stops its timer when all events of a flushInterval are sent', async () => {
    const { stream, transport } = fakeStream({ flushInterval: 500, heartbeat: 0 })
    stream.send({ data: 1 })
    vi.advanceTimersByTime(700)
    expect(sent(transport)).toEqual(['1'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('cancels its timer when the stream is destroyed', async () => {
    const { stream } = fakeStream({ flushInterval: 500, rateLimit: { eventsPerSecond: 1 }, heartbeat: 0 })
    for (let i = 0; i < 4; i++) stream.send({ data: i })
    expect(vi.getTimerCount()).toBe(1)
    stream.destroy()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a source with a rate limit', () => {
  const events = Array.from({ length: 100 }, (_, id) => ({ id, data: id }))
  const options = { rateLimit: { eventsPerSecond: 10 }, maxBufferedEvents: 5 }

  it.each<[string, (options: object) => SseStream]>([
    [
      'is passed to sendAll()',
      (options) => {
        const { stream } = fakeStream(options)
        void stream.sendAll(events)
        return stream
      },
    ],
    ['is replayed', (options) => fakeStream({ ...options, replay: () => events }, '0').stream],
  ])('is paused and never exceeds the queue limit when it %s', async (_how, open) => {
    // Real time would refill the bucket while a busy machine runs the test.
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const stream = open(options)
    await settled()
    expect(stream.closed).toBe(false)
    expect(stream.bufferedEvents).toBe(5)
  })
})

describe('a channel with conflate', () => {
  it('queues only the newest event per key for a slow client and all events of other channels', async () => {
    const hub = new Hub()
    const prices = hub.channel('prices', { conflate: true })
    const trades = hub.channel('trades')
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['prices', 'trades'])
    await nextTurn()
    transport.isFull = true
    await prices.publish({ key: 'BTC', data: 'BTC 0' })
    await nextTurn()
    for (let i = 1; i < 10; i++) {
      await prices.publish({ key: 'BTC', data: `BTC ${i}` })
      await prices.publish({ key: 'ETH', data: `ETH ${i}` })
      await trades.publish({ key: 'BTC', data: `trade ${i}` })
    }
    await nextTurn()
    transport.drain()
    expect(sent(transport)).toEqual([
      'BTC 0',
      ...Array.from({ length: 8 }, (_, i) => `trade ${i + 1}`),
      'BTC 9',
      'ETH 9',
      'trade 9',
    ])
  })
})

describe('rateLimiterFor', () => {
  it('returns the time of the next token', () => {
    const limiter = rateLimiterFor({ eventsPerSecond: 4, burst: 1 })
    expect(limiter.allowed(1_000)).toBe(1)
    limiter.spend(1)
    expect(limiter.allowed(1_100)).toBe(0)
    expect(limiter.nextAt()).toBeCloseTo(1_250)
    expect(limiter.allowed(1_250)).toBe(1)
  })

  it('has a default burst of one second of events, and at least one', () => {
    expect(rateLimiterFor({ eventsPerSecond: 0.5 }).allowed(0)).toBe(1)
    expect(rateLimiterFor({ eventsPerSecond: 2.9 }).allowed(0)).toBe(2)
  })

  it('accumulates no more tokens than the burst', () => {
    const limiter = rateLimiterFor({ eventsPerSecond: 10, burst: 3 })
    expect([limiter.allowed(0), limiter.allowed(60_000)]).toEqual([3, 3])
    limiter.spend(2)
    expect([limiter.allowed(60_100), limiter.allowed(60_200), limiter.allowed(60_300)]).toEqual([2, 3, 3])
  })

  it('counts fractions of a token', () => {
    const limiter = rateLimiterFor({ eventsPerSecond: 0.5 })
    expect(limiter.allowed(0)).toBe(1)
    limiter.spend(1)
    expect(limiter.allowed(1_900)).toBe(0)
    expect(limiter.nextAt()).toBeCloseTo(2_000)
    expect(limiter.allowed(2_000)).toBe(1)
  })
})
