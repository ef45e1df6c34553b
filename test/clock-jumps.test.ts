import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Hub } from '../src/hub/hub.ts'
import { timeUntil, withDeadline } from '../src/stores/broker/deadline.ts'
import { RecentEntries } from '../src/stores/broker/recent-entries.ts'
import { UnknownPositions } from '../src/stores/broker/unknown-positions.ts'
import { memoryStore } from '../src/stores/memory/memory-store.ts'
import { connectToFake } from './support/client-connection.ts'
import { fakeStream, nextTurn } from './support/streams.ts'

const HOUR = 3_600_000

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Sets the clock of the machine, as a time server does. Monotonic time does not change. */
const jump = (ms: number) => void vi.setSystemTime(Date.now() + ms)

describe.each([
  ['forward', 5 * HOUR],
  ['back', -5 * HOUR],
])('a clock that is set %s by five hours', (_direction, ms) => {
  test('changes no heartbeat', () => {
    const { transport } = fakeStream({ heartbeat: 1_000, stallTimeout: 0 })
    vi.advanceTimersByTime(2_500)
    const before = transport.all.join('').length
    jump(ms)
    vi.advanceTimersByTime(200)
    const soon = transport.all.join('').length
    vi.advanceTimersByTime(4_800)
    const beats = transport.all.join('').slice(before).match(/^:$/gm)?.length
    expect(soon - before).toBeLessThanOrEqual(3)
    expect(beats).toBeGreaterThanOrEqual(4)
    expect(beats).toBeLessThanOrEqual(11)
  })

  test('neither shortens nor extends maxDuration and the stall timeout', async () => {
    const { stream } = fakeStream({ maxDuration: 60_000, heartbeat: 0 })
    const { stream: stalled, transport } = fakeStream({ stallTimeout: 30_000, heartbeat: 0 })
    transport.isFull = true
    stalled.send({ data: 'x' })
    await nextTurn()
    jump(ms)
    vi.advanceTimersByTime(20_000)
    expect([stream.closed, stalled.closed]).toEqual([false, false])
    vi.advanceTimersByTime(41_000)
    expect([stream.closed, stalled.closed]).toEqual([true, true])
  })

  test('neither evicts events of a memory store nor keeps them longer', async () => {
    const hub = new Hub({ store: memoryStore({ maxAge: 60_000 }) })
    const id = await hub.channel('a').publish({ data: 1 })
    await hub.channel('a').publish({ data: 2 })
    jump(ms)
    vi.advanceTimersByTime(30_000)
    expect(hub._store.read(['a'], id, 10)).toMatchObject({ entries: [{}] })
    vi.advanceTimersByTime(31_000)
    await hub.channel('a').publish({ data: 3 })
    expect(hub._store.read(['a'], id, 10)).toBe('gap')
  })

  test('neither forgets an idempotency key nor remembers it longer', async () => {
    const hub = new Hub({ store: memoryStore({ idempotencyWindow: 60_000 }) })
    const publish = () => hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'key' })
    const id = await publish()
    jump(ms)
    vi.advanceTimersByTime(30_000)
    expect(await publish()).toBe(id)
    vi.advanceTimersByTime(31_000)
    expect(await publish()).not.toBe(id)
  })

  test('changes no deadline of a broker', async () => {
    const deadline = performance.now() + 5_000
    let isRejected = false
    withDeadline(deadline, new Promise(() => {})).catch(() => {
      isRejected = true
    })
    jump(ms)
    expect(timeUntil(deadline)).toBe(5_000)
    await vi.advanceTimersByTimeAsync(4_000)
    expect(isRejected).toBe(false)
    await vi.advanceTimersByTimeAsync(1_200)
    expect(isRejected).toBe(true)
  })

  test('admits no more lookups of unknown positions', () => {
    const unknown = new UnknownPositions()
    for (let count = 0; count < 1_000; count++) unknown.add(`${count}`)
    jump(ms)
    expect(() => unknown.check()).toThrow(expect.objectContaining({ code: 'ERR_SSE_OVERLOAD' }))
    vi.advanceTimersByTime(10)
    unknown.check()
  })

  test('changes no age of an event in the cache of a broker', () => {
    const recent = new RecentEntries(100, 1_000_000)
    recent.push({ id: '1', size: 0 }, Date.now() - 10_000)
    recent.push({ id: '2', size: 0 }, Date.now())
    recent.begin('0')
    const before = recent.staleness('1', 1_000, 60_000)
    jump(ms)
    expect(recent.staleness('1', 1_000, 60_000)).toBe(before)
    // The clock of the broker was not set.
    recent.push({ id: '3', size: 0 }, Date.now() - ms)
    expect(recent.staleness('2', 1_000, 60_000)).toBeLessThan(0.5)
  })

  test('does not hide from a client that its server is silent', async () => {
    const { next, pass, passUntilRequest, news } = await connectToFake()
    await next().open(': heartbeat 15000\n\nid: 1\ndata: 1\n\n')
    await pass(15_000)
    news()
    jump(ms)
    const jumpedAt = performance.now()
    await passUntilRequest()
    expect(performance.now() - jumpedAt).toBeLessThanOrEqual(30_000)
    expect(next().headers.get('last-event-id')).toBe('1')
  })
})
