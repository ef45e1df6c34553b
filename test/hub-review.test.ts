import { expect, it, vi } from 'vitest'
import { Backlog, OVERFLOW } from '../src/backlog.ts'
import { Frame } from '../src/frame.ts'
import { Hub } from '../src/hub.ts'
import { MemoryLog } from '../src/logs/memory.ts'
import { parseEvents } from './support/parse.ts'
import { fakeStream, nextTurn, settled } from './support/streams.ts'

const read = (t: { writes: string[] }) =>
  parseEvents(t.writes.join('')).map(({ event = 'message', data }) => `${event} ${data}`)
async function fill(hub: Hub, n: number, channel = 'a', pad = 0) {
  const s = await hub.channel(channel).publish({ data: 'start' })
  for (let i = 0; i < n; i++) await hub.channel(channel).publish({ data: `${i}`.padEnd(pad) })
  return s
}

it('B1 resubscribe of resumed client repeats', async () => {
  const hub = new Hub()
  const s = await fill(hub, 3)
  const { stream, transport } = fakeStream({}, s)
  const u = hub.subscribe(stream, ['a'])
  await settled()
  u()
  hub.subscribe(stream, ['a'])
  await settled()
  expect(read(transport)).toEqual(['message 0', 'message 1', 'message 2'])
})
it('B2 subscribe twice on resumed client: false gap', async () => {
  const hub = new Hub()
  const s = await fill(hub, 2)
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['a'])
  await settled()
  expect(read(transport)).toEqual(['message 0', 'message 1'])
})
it('B3 removed channel with filter is not leaked mid-page', async () => {
  const hub = new Hub()
  const s = await fill(hub, 3, 'secret', 20000)
  await hub.channel('b').publish({ data: 'b' })
  const { stream, transport } = fakeStream({}, s)
  transport.isFull = true
  const u = hub.subscribe(stream, ['secret'], { filter: ({ data }) => (data as string).startsWith('0') })
  hub.subscribe(stream, ['b'])
  await settled()
  u()
  for (let i = 0; i < 10; i++) {
    transport.drain()
    await settled()
  }
  expect(read(transport).map((x) => x.trim())).toEqual(['message 0', 'message b'])
})
it('B4 subscribing a tick later does not start a second reader', async () => {
  for (let ticks = 0; ticks < 12; ticks++) {
    const hub = new Hub()
    const s = await fill(hub, 3)
    await hub.channel('b').publish({ data: 'b-missed' })
    const { stream, transport } = fakeStream({}, s)
    hub.subscribe(stream, ['a'])
    for (let i = 0; i < ticks; i++) await null
    hub.subscribe(stream, ['b'])
    for (let i = 0; i < 6; i++) {
      void hub.channel('a').publish({ data: `live${i}` })
      await null
    }
    await settled()
    const seen = read(transport)
    const ids = parseEvents(transport.writes.join('')).map((e) => Number((e.id ?? 'x-0').split('-')[1]))
    expect({
      ticks,
      dup: seen.length - new Set(seen).size,
      sorted: [...ids]
        .filter((x, i) => ids.indexOf(x) === i)
        .every((x, i, a) => i === 0 || x >= Number(a[i - 1])),
      seen,
    }).toMatchObject({ dup: 0, sorted: true })
  }
})
it('B5 listeners', async () => {
  const hub = new Hub()
  const { stream } = fakeStream()
  const warn = vi.fn()
  process.on('warning', warn)
  for (let i = 0; i < 50; i++) {
    hub.subscribe(stream, ['a'])()
    await nextTurn()
  }
  await settled()
  process.off('warning', warn)
  expect([stream.listenerCount('close'), warn.mock.calls.length]).toEqual([0, 0])
})
it('B6 publish in filter keeps order', async () => {
  const hub = new Hub()
  const one = fakeStream(),
    two = fakeStream()
  hub.subscribe(one.stream, ['a'], {
    filter: (e) => {
      if (e.data === '1') void hub.channel('a').publish({ data: '2' })
      return true
    },
  })
  hub.subscribe(two.stream, ['a'])
  await settled()
  await hub.channel('a').publish({ data: '1' })
  await settled()
  expect(read(one.transport)).toEqual(['message 1', 'message 2'])
  expect(read(two.transport)).toEqual(['message 1', 'message 2'])
})
it('B6b publish in drop listener keeps order', async () => {
  const hub = new Hub()
  const one = fakeStream({ maxBufferedEvents: 1, overflow: 'drop-newest' }),
    two = fakeStream()
  one.stream.on('drop', () => {
    if (read(two.transport).length < 9) void hub.channel('b').publish({ data: 'dropped' })
  })
  hub.subscribe(one.stream, ['a'])
  hub.subscribe(two.stream, ['a', 'b'])
  await settled()
  one.transport.isFull = true
  for (const d of ['1', '2', '3']) {
    await hub.channel('a').publish({ data: d })
    await nextTurn()
  }
  await settled()
  expect(read(two.transport).indexOf('message 3')).toBeLessThan(
    read(two.transport).indexOf('message dropped'),
  )
})
it('B7 subscribe in a filter loses nothing', async () => {
  const hub = new Hub()
  const one = fakeStream(),
    two = fakeStream()
  hub.subscribe(one.stream, ['a'], {
    filter: (e) => {
      if (e.data === '1') hub.subscribe(two.stream, ['late'])
      return true
    },
  })
  hub.subscribe(two.stream, ['a'])
  await settled()
  await hub.channel('a').publish({ data: '1' })
  await settled()
  expect(read(two.transport)).toEqual(['message 1'])
})
it('B8 a paced replay does not trip maxBufferedEvents with a rate limit', async () => {
  const hub = new Hub()
  const s = await fill(hub, 100)
  const { stream } = fakeStream({ rateLimit: { eventsPerSecond: 10 }, maxBufferedEvents: 40 }, s)
  hub.subscribe(stream, ['a'])
  await settled()
  expect(stream.closeReason).toBe(undefined)
})
it('B8b nor with an event over the bound', async () => {
  const hub = new Hub()
  const s = await fill(hub, 3)
  await hub.channel('a').publish({ data: 'x'.repeat(5000) })
  const { stream, transport } = fakeStream({ maxBufferedBytes: 2000 }, s)
  transport.isFull = true
  hub.subscribe(stream, ['a'])
  await settled()
  expect(stream.closeReason).toBe(undefined)
  for (let i = 0; i < 5; i++) {
    transport.drain()
    await settled()
  }
  expect(read(transport)).toHaveLength(4)
})
it('B9 excess conflate applies to a burst of one turn', async () => {
  vi.useFakeTimers()
  const { stream } = fakeStream({
    rateLimit: { eventsPerSecond: 1, burst: 1, excess: 'conflate' },
    heartbeat: 0,
  })
  for (let i = 0; i < 50; i++) stream.send({ key: 'x', data: `${i}` })
  await nextTurn()
  const waiting = stream.bufferedEvents
  vi.useRealTimers()
  expect(waiting).toBe(1)
})
const f = (text: string, key?: string, c = false) => Frame.of(text, 1, key, c)
it.each(['drop-oldest', 'drop-newest'] as const)(
  'B10 conflated channel with %s does not close',
  (overflow) => {
    const b = new Backlog({ overflow, maxBufferedBytes: 1000, maxBufferedEvents: 2 })
    b.offer(f('1', '1'), true)
    b.offer(f('2', '2'), true)
    expect(b.offer(f('3', 'c', true), true)).not.toBe(OVERFLOW)
  },
)
it('B11 alternating keys costs', () => {
  const n = 5000
  const b = new Backlog({ overflow: 'conflate', maxBufferedBytes: 1e9, maxBufferedEvents: n })
  for (let i = 0; i < n; i++) b.offer(f('x', `k${i}`), true)
  const t = performance.now()
  for (let i = 0; i < 2000; i++) b.offer(f('x', `k${i}`, i % 2 === 0), true)
  expect(performance.now() - t).toBeLessThan(300)
})
it('B12 order retains what is gone', async () => {
  const hub = new Hub({ log: new MemoryLog({ maxBytes: 4 * 1024 * 1024 }) })
  await hub.channel('news').publish({ data: 'n' })
  const refs: WeakRef<object>[] = []
  const c = hub.channel('p', { conflate: true })
  for (let i = 0; i < 100; i++) {
    const data = { v: 'x'.repeat(500000) }
    refs.push(new WeakRef(data))
    await c.publish({ data })
    await nextTurn()
  }
  const before = process.memoryUsage().arrayBuffers
  console.log('arrayBuffers MB', before / 1e6)
  expect(before).toBeLessThan(20e6)
})
it('B14 shutdown retry holds for who comes late', async () => {
  const hub = new Hub()
  await hub.shutdown({ retry: 30000 })
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['a'])
  expect(Number(/retry: (\d+)/.exec(transport.writes.join(''))?.[1])).toBeGreaterThanOrEqual(30000)
})
it('B15 second shutdown closes log once', async () => {
  const log = new MemoryLog()
  const close = vi.spyOn(log, 'close')
  const hub = new Hub({ log })
  await Promise.all([hub.shutdown(), hub.shutdown()])
  expect(close).toHaveBeenCalledOnce()
})
it('B16 late subscriber is cut at the grace', async () => {
  const hub = new Hub()
  const a = fakeStream()
  hub.subscribe(a.stream, ['a'])
  a.transport.isFull = true
  a.stream.send({ data: 1 })
  await settled()
  const down = hub.shutdown({ graceMs: 30 })
  const late = fakeStream()
  late.transport.isFull = true
  hub.subscribe(late.stream, ['a'])
  await down
  await vi.waitFor(() => expect(late.stream.closed && late.transport.isDestroyed).toBe(true))
  expect(late.transport.isDestroyed).toBe(true)
})
it('B17 onGap not asked after the stream left / unsub', async () => {
  const hub = new Hub()
  const s = await fill(hub, 1)
  await hub.channel('b').publish({ data: 'b' })
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['a'])
  await settled()
  const onGap = vi.fn()
  const u = hub.subscribe(stream, ['b'], { onGap })
  u()
  await settled()
  expect(onGap).not.toHaveBeenCalled()
  expect(read(transport)).toEqual(['message 0'])
})
it('B18 toggling a channel does not add up onGaps', async () => {
  const hub = new Hub({ log: new MemoryLog({ maxEvents: 2 }) })
  const s = await fill(hub, 5)
  const { stream } = fakeStream({}, s)
  const onGap = vi.fn(() => [{ event: 'snap', data: 1 }])
  for (let i = 0; i < 3; i++) {
    hub.subscribe(stream, ['a', 'x'], { onGap })
  }
  hub.subscribe(stream, ['b'], { onGap })
  await settled()
  expect(onGap).toHaveBeenCalledOnce()
})
it('B19 mixed conflate / not', async () => {
  const hub = new Hub()
  const s = await hub.channel('p', { conflate: true }).publish({ data: 'c' })
  await hub.channel('p').publish({ data: '1' })
  await hub.channel('p').publish({ data: '2' })
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['p'])
  await settled()
  expect(read(transport)).toEqual(['message 1', 'message 2'])
})
it('B20 late add during a paced replay: no false gap', async () => {
  const hub = new Hub()
  const s = await fill(hub, 5, 'a', 20000)
  const { stream, transport } = fakeStream({}, s)
  transport.isFull = true
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['b'])
  await hub.channel('b').publish({ data: 'b' })
  for (let i = 0; i < 10; i++) {
    transport.drain()
    await settled()
  }
  expect(read(transport).map((x) => x.trim())).toEqual([
    'message 0',
    'message 1',
    'message 2',
    'message 3',
    'message 4',
    'message b',
  ])
})
it('B21 closing stream does not run on through the log', async () => {
  const hub = new Hub()
  const s = await fill(hub, 3000)
  const filter = vi.fn(() => true)
  const { stream, transport } = fakeStream({}, s)
  transport.isFull = true
  hub.subscribe(stream, ['a'], { filter })
  await settled()
  const n = filter.mock.calls.length
  stream.send({ data: 1 })
  stream.close()
  await settled()
  console.log('filter', n, filter.mock.calls.length)
  expect(filter.mock.calls.length - n).toBeLessThan(5)
})
it('B22 publish checks its options', async () => {
  await expect(
    (async () => new Hub().channel('a').publish({ data: 1 }, { idempotencykey: 'k' } as never))(),
  ).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
})
it('B23 one log two hubs refused', () => {
  const log = new MemoryLog()
  new Hub({ log })
  expect(() => new Hub({ log })).toThrow()
})
it('B24 stale unsubscribe does not end a later subscription', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['b'])
  const u = hub.subscribe(stream, ['a'])
  await settled()
  u()
  hub.subscribe(stream, ['a'])
  await settled()
  u()
  await hub.channel('a').publish({ data: 1 })
  await settled()
  expect(read(transport)).toEqual(['message 1'])
})
it('B25 unsubscribe+failing onGap does not destroy', async () => {
  const hub = new Hub({ log: new MemoryLog({ maxEvents: 2 }) })
  const s = await fill(hub, 5)
  const { stream, transport } = fakeStream({}, s)
  const u = hub.subscribe(stream, ['a'], {
    onGap: async () => {
      await nextTurn()
      throw new Error('db')
    },
  })
  await null
  await null
  u()
  await settled()
  await settled()
  expect(stream.closed).toBe(false)
  expect(read(transport)).toEqual([])
})
it('B26 toggled channel no false gap', async () => {
  const hub = new Hub()
  const s = await fill(hub, 2)
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['b'])
  const u = hub.subscribe(stream, ['a'])
  await settled()
  u()
  await settled()
  hub.subscribe(stream, ['a'])
  await settled()
  expect(read(transport)).toEqual(['message 0', 'message 1'])
})

it('M1 stops the cut with the last stream (hub.ts clearTimeout)', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await new Hub().shutdown({ graceMs: 60_000 })
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
it('M2 spreads the retry, and none is sent with 0', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const wire = async (retry: number) => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'])
    void hub.shutdown({ retry, graceMs: 0 })
    await settled()
    return transport.writes.join('')
  }
  try {
    expect(await wire(1000)).toContain('retry: 1500\n')
    expect(await wire(0)).toBe('')
  } finally {
    vi.restoreAllMocks()
  }
})
it('M3 leaves the published object as it is', async () => {
  const event = { data: 1 }
  await new Hub().channel('a').publish(event)
  expect(event).toEqual({ data: 1 })
})
it('M4 two conflating channels with the same key do not replace each other', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['p', 'q'])
  await settled()
  transport.isFull = true
  await hub.channel('x').publish({ data: 0 })
  stream.send({ data: 'fill' })
  await settled()
  for (const c of ['p', 'q']) await hub.channel(c, { conflate: true }).publish({ key: 'k', data: c })
  for (const c of ['p', 'q']) await hub.channel(c, { conflate: true }).publish({ event: 'named', data: c })
  for (const c of ['p', 'q'])
    await hub.channel(c, { conflate: true }).publish({ event: 'named', data: `${c}2` })
  transport.drain()
  expect(read(transport)).toEqual(['message fill', 'message p', 'message q', 'named p2', 'named q2'])
})
it('M5 subscribing a closed stream leaves nothing', async () => {
  const hub = new Hub()
  const { stream } = fakeStream()
  stream.destroy()
  hub.subscribe(stream, ['a'])
  expect(hub.size).toBe(0)
})
it('M6 a late channel that was evicted is a gap', async () => {
  const hub = new Hub({ log: new MemoryLog({ perChannel: { maxEvents: 1 } }) })
  const s = await hub.channel('a').publish({ data: 0 })
  for (let i = 0; i < 3; i++) await hub.channel('b').publish({ data: i })
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['b'])
  await settled()
  expect(read(transport)).toEqual(['gap {"reason":"unknown"}'])
})
it('M7 a stream that closes takes no more of a page, and no filter runs on it', async () => {
  const hub = new Hub()
  const s = await fill(hub, 5, 'a', 20_000)
  const filter = vi.fn(() => true)
  const { stream, transport } = fakeStream({}, s)
  transport.isFull = true
  hub.subscribe(stream, ['a'], { filter })
  await settled()
  transport.lose()
  await settled()
  expect(filter).toHaveBeenCalledOnce()
})
it('M8 an onGap that returns nothing leaves the gap event to be told', async () => {
  const { stream, transport } = fakeStream({}, 'other-1')
  new Hub().subscribe(stream, ['a'], { onGap: () => {} })
  await settled()
  expect(read(transport)).toEqual(['gap {"reason":"unknown"}'])
  expect(stream.closed).toBe(false)
})
it('M9 a live stream that closes is no longer asked by its channels', async () => {
  const hub = new Hub()
  const { stream } = fakeStream()
  const filter = vi.fn(() => true)
  hub.subscribe(stream, ['a'], { filter })
  await settled()
  stream.destroy()
  await settled()
  await hub.channel('a').publish({ data: 1 })
  expect(filter).not.toHaveBeenCalled()
})
