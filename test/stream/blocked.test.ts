import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { clock, TICK } from '../../src/scheduler/clock.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { blockFakeTimers } from '../support/block.ts'
import { publicationOf } from '../support/publication.ts'
import { fakeStream, nextTurn } from '../support/streams.ts'

// Work that blocks the event loop delays the timers, which then run before the sockets are read (rule 44).

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Opens a stream whose transport is full. */
async function fullStream(stallTimeout: number) {
  const opened = fakeStream({ stallTimeout, heartbeat: 0 })
  opened.transport.isFull = true
  opened.stream.send({ data: 1 })
  await nextTurn()
  return opened
}

describe('a stalled stream after a blocked event loop', () => {
  it.each([TICK, 500, 5_000])(
    'is not closed before the sockets were read, with a stallTimeout of %i ms (rule 44)',
    async (stallTimeout) => {
      const { stream, transport } = await fullStream(stallTimeout)
      blockFakeTimers(60_000)
      vi.advanceTimersByTime(TICK)
      expect(stream.closed).toBe(false)
      // The client has read during the block.
      transport.drain()
      await nextTurn()
      vi.advanceTimersByTime(60_000)
      expect(stream.closed).toBe(false)
    },
  )

  it('is not closed because another stream was written to at the end of the block (rule 44)', async () => {
    const { stream, transport } = await fullStream(5_000)
    vi.advanceTimersByTime(1_000)
    blockFakeTimers(60_000)
    await fullStream(5_000)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    vi.advanceTimersByTime(3_000)
    expect(stream.closed).toBe(false)
    transport.drain()
    vi.advanceTimersByTime(60_000)
    expect(stream.closed).toBe(false)
  })

  it('is closed if its client still reads nothing for the rest of the timeout', async () => {
    const { stream } = await fullStream(5_000)
    vi.advanceTimersByTime(1_000)
    blockFakeTimers(60_000)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    vi.advanceTimersByTime(4_300)
    expect(stream.closeReason).toBe('stalled')
  })
})

describe('a stream that is opened at the end of a block', () => {
  it('has its full maxDuration', async () => {
    fakeStream()
    vi.advanceTimersByTime(TICK)
    blockFakeTimers(60_000)
    const { stream } = fakeStream({ maxDuration: 10_000 })
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    vi.advanceTimersByTime(8_500)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(2_000)
    expect(stream.closeReason).toBe('expired')
  })
})

describe('a rate limit and a flush interval', () => {
  it('send no more than the burst after a block', async () => {
    const rateLimit = { eventsPerSecond: 10, burst: 3 }
    const { stream, transport } = fakeStream({ rateLimit, heartbeat: 0 })
    for (let i = 0; i < 40; i++) stream.send({ data: i })
    await nextTurn()
    blockFakeTimers(60_000)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    expect(transport.writes.join('').match(/data/g)).toHaveLength(6)
  })

  it('delay no event for longer than the block', async () => {
    const { stream, transport } = fakeStream({ flushInterval: 500, heartbeat: 0 })
    stream.send({ data: 1 })
    blockFakeTimers(60_000)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    expect(transport.writes).toEqual(['data: 1\n\n'])
  })
})

describe('a memory store after a block', () => {
  const target = { _onTimer: () => {} }

  it('keeps an event that was published at the end of the block for maxAge', async () => {
    const store = new MemoryStore({ maxAge: 1_000 })
    const start = store.position
    // The clock runs, and its time is that of its last tick.
    clock.schedule(target, clock.now + 100_000)
    blockFakeTimers(60_000)
    await store.append(publicationOf('a', { data: 'new' }))
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    expect(store.read(['a'], start, 10)).toMatchObject({ entries: [{ channel: 'a' }] })
    vi.advanceTimersByTime(1_100)
    expect(store.read(['a'], start, 10)).toBe('gap')
  })

  it('does not return an event that exceeded maxAge during the block', async () => {
    const store = new MemoryStore({ maxAge: 1_000 })
    const start = store.position
    clock.schedule(target, clock.now + 100_000)
    await store.append(publicationOf('a', { data: 'old' }))
    blockFakeTimers(60_000)
    expect(store.read(['a'], start, 10)).toBe('gap')
  })

  it('remembers an idempotency key that was used at the end of the block', async () => {
    const store = new MemoryStore({ idempotencyWindow: 1_000 })
    clock.schedule(target, clock.now + 100_000)
    blockFakeTimers(60_000)
    const once = { ...publicationOf('a', { data: 1 }), idempotencyKey: 'once' }
    const id = await store.append(once)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    expect(await store.append(once)).toBe(id)
  })
})
