import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, it, onTestFinished, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { Backlog, OVERFLOW } from '../../src/stream/backlog.ts'
import { ConflatedQueue } from '../../src/stream/frame-queue.ts'
import { parseEvents } from '../support/parse.ts'
import { SlowLog } from '../support/slow-log.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const read = (t: { writes: string[] }) =>
  parseEvents(t.writes.join('')).map(({ event = 'message', data }) => `${event} ${data}`)
async function fill(hub: Hub, n: number, channel = 'a', pad = 0) {
  const s = await hub.channel(channel).publish({ data: 'start' })
  for (let i = 0; i < n; i++) await hub.channel(channel).publish({ data: `${i}`.padEnd(pad) })
  return s
}

it('goes on where it was when a client that resumed leaves and follows again', async () => {
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
it('tells no gap when a channel is followed a second time', async () => {
  const hub = new Hub()
  const s = await fill(hub, 2)
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['a'])
  await settled()
  expect(read(transport)).toEqual(['message 0', 'message 1'])
})
it('sends nothing more of a page, filtered or not, once the channel is left', async () => {
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
it('reads the log once at a time, whichever tick another channel is followed in', async () => {
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
it('adds no listener for each time a stream follows again', async () => {
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
it('tells what a filter publishes after the entry it was asked for, to everybody', async () => {
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
it('tells what a drop listener publishes after the entry that was dropped, to everybody', async () => {
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
it('loses nothing when a filter has a stream follow more', async () => {
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
it('does not trip the bound with a replay that a rate limit slows', async () => {
  const hub = new Hub()
  const s = await fill(hub, 100)
  const { stream } = fakeStream({ rateLimit: { eventsPerSecond: 10 }, maxBufferedEvents: 40 }, s)
  hub.subscribe(stream, ['a'])
  await settled()
  expect(stream.closeReason).toBe(undefined)
})
it('does not trip the bound with a replayed event that is larger than it', async () => {
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
it('conflates what one turn sends over the rate', async () => {
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
  'does not close a stream for a channel that conflates, with %s',
  (overflow) => {
    const b = new Backlog({ overflow, maxBufferedBytes: 1000, maxBufferedEvents: 2 })
    b.offer(f('1', '1'), true)
    b.offer(f('2', '2'), true)
    expect(b.offer(f('3', 'c', true), true)).not.toBe(OVERFLOW)
  },
)
it('turns a backlog into a conflated one once, whatever channels alternate in it', () => {
  const from = vi.spyOn(ConflatedQueue, 'from')
  const b = new Backlog({ overflow: 'conflate', maxBufferedBytes: 1e9, maxBufferedEvents: 50 })
  for (let i = 0; i < 50; i++) b.offer(f('x', `k${i}`), true)
  for (let i = 0; i < 200; i++) b.offer(f('x', `k${i % 50}`, i % 2 === 0), true)
  expect(from.mock.calls.length).toBeGreaterThan(0)
  expect(from.mock.calls.length).toBeLessThanOrEqual(2)
  from.mockRestore()
})
it('tells who comes after the shutdown the same time to come back', async () => {
  const hub = new Hub()
  await hub.shutdown({ retry: 30000 })
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['a'])
  expect(Number(/retry: (\d+)/.exec(transport.writes.join(''))?.[1])).toBeGreaterThanOrEqual(30000)
})
it('closes the log once, however often it is shut down', async () => {
  const log = new MemoryStore()
  const close = vi.spyOn(log, 'close')
  const hub = new Hub({ store: log })
  await Promise.all([hub.shutdown(), hub.shutdown()])
  expect(close).toHaveBeenCalledOnce()
})
it('cuts off who comes after the shutdown and does not read, after the grace', async () => {
  const hub = new Hub()
  const a = fakeStream()
  hub.subscribe(a.stream, ['a'])
  a.transport.isFull = true
  a.stream.send({ data: 1 })
  await settled()
  const down = hub.shutdown({ grace: 30 })
  const late = fakeStream()
  late.transport.isFull = true
  hub.subscribe(late.stream, ['a'])
  await down
  await vi.waitFor(() => expect(late.stream.closed && late.transport.isDestroyed).toBe(true))
  expect(late.transport.isDestroyed).toBe(true)
})
it('does not ask onGap for who has left meanwhile', async () => {
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
it('asks each onGap once for a gap, however often the channel was followed', async () => {
  const hub = new Hub({ store: new MemoryStore({ maxEvents: 2 }) })
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
it('replaces nothing that was published without conflating', async () => {
  const hub = new Hub()
  const s = await hub.channel('p', { conflate: true }).publish({ data: 'c' })
  await hub.channel('p').publish({ data: '1' })
  await hub.channel('p').publish({ data: '2' })
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['p'])
  await settled()
  expect(read(transport)).toEqual(['message 1', 'message 2'])
})
it('tells no gap when a channel is followed during a replay that has not reached it', async () => {
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
it('stops reading the log for a stream that closes', async () => {
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
it('refuses a publish option that there is not', async () => {
  await expect(
    (async () => new Hub().channel('a').publish({ data: 1 }, { idempotencykey: 'k' } as never))(),
  ).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
})
it('refuses a log that serves another hub', () => {
  const log = new MemoryStore()
  new Hub({ store: log })
  expect(() => new Hub({ store: log })).toThrow()
})
it('leaves a later subscription alone when an earlier one is ended again', async () => {
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
it('does not end a stream for an onGap that fails after it has left', async () => {
  const hub = new Hub({ store: new MemoryStore({ maxEvents: 2 }) })
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
it('tells no gap for a channel that is left and followed again in one turn', async () => {
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

it('leaves no timer behind a shutdown', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await new Hub().shutdown({ grace: 60_000 })
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
it('spreads the time to come back, and tells none with 0', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  const wire = async (retry: number) => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'])
    void hub.shutdown({ retry, grace: 0 })
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
it('leaves the published object as it is', async () => {
  const event = { data: 1 }
  await new Hub().channel('a').publish(event)
  expect(event).toEqual({ data: 1 })
})
it('keeps the same key apart in two channels that conflate', async () => {
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
  await nextTurn()
  transport.drain()
  expect(read(transport)).toEqual(['message fill', 'message p', 'message q', 'named p2', 'named q2'])
})
it('keeps nothing of a stream that is closed already', async () => {
  const hub = new Hub()
  const { stream } = fakeStream()
  stream.destroy()
  hub.subscribe(stream, ['a'])
  expect(hub.size).toBe(0)
})
it('tells a gap for a channel that is followed late and was evicted', async () => {
  const hub = new Hub({ store: new MemoryStore({ perChannel: { maxEvents: 1 } }) })
  const s = await hub.channel('a').publish({ data: 0 })
  for (let i = 0; i < 3; i++) await hub.channel('b').publish({ data: i })
  const { stream, transport } = fakeStream({}, s)
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['b'])
  await settled()
  expect(read(transport)).toEqual(['gap {"reason":"unknown"}'])
})
it('asks no filter for the rest of a page when the stream closes', async () => {
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
it('tells the gap event when onGap returns nothing', async () => {
  const { stream, transport } = fakeStream({}, 'other-1')
  new Hub().subscribe(stream, ['a'], { onGap: () => {} })
  await settled()
  expect(read(transport)).toEqual(['gap {"reason":"unknown"}'])
  expect(stream.closed).toBe(false)
})
it('asks no filter for a stream that has closed', async () => {
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

it('gives an event that a serialiser publishes an id of its own, before the event it was called for', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['a'])
  await settled()
  let nested: Promise<string> | undefined
  const data = {
    toJSON() {
      nested ??= hub.channel('a').publish({ data: 'nested' })
      return 'outer'
    },
  }
  const id = await hub.channel('a').publish({ data })
  expect(await nested).not.toBe(id)
  await settled()
  expect(read(transport)).toEqual(['message nested', 'message "outer"'])
})
it('follows a channel that a serialiser has a stream follow, from the event it was asked for', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream()
  hub.subscribe(stream, ['b'])
  await settled()
  await hub.channel('a').publish({
    data: {
      toJSON() {
        hub.subscribe(stream, ['a'])
        return 1
      },
    },
  })
  await hub.channel('a').publish({ data: 2 })
  await settled()
  expect(read(transport)).toEqual(['message 1', 'message 2'])
})
it.each(['drop-oldest', 'drop-newest', 'close'] as const)(
  'tells a gap to a client whose queue is full, with overflow %s, when there is room for it',
  async (overflow) => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 1 }) })
    const start = await fill(hub, 3)
    const { stream, transport } = fakeStream({ overflow, maxBufferedEvents: 2 }, start)
    transport.isFull = true
    stream.send({ data: 'own' })
    await nextTurn()
    stream.send({ data: 'own' })
    stream.send({ data: 'own' })
    hub.subscribe(stream, ['a'])
    await settled()
    transport.drain()
    await settled()
    await hub.channel('a').publish({ data: 'live' })
    await settled()
    expect(read(transport).slice(-2)).toEqual(['gap {"reason":"unknown"}', 'message live'])
  },
)
it('sends a stream whose queue is full all of it and when to come back, at a shutdown', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream({ maxBufferedEvents: 2 })
  hub.subscribe(stream, ['a'])
  await settled()
  transport.isFull = true
  for (let i = 0; i < 3; i++) {
    await hub.channel('a').publish({ data: i })
    await settled()
  }
  const down = hub.shutdown()
  transport.drain()
  transport.lose()
  await down
  expect(stream.closeReason).toBe('server')
  expect(transport.writes.join('')).toMatch(/data: 2\n\nretry: \d+\n$/)
})
it.each([
  ['all that it missed', 4, true],
  ['a part of it, and left', 1, false],
])('says in the metrics when a client was replayed %s', async (_what, room, isWhole) => {
  const hub = new Hub()
  const start = await fill(hub, 4, 'a', 20_000)
  const replayed = vi.fn()
  subscribe('spillway:stream:replay', replayed)
  onTestFinished(() => void unsubscribe('spillway:stream:replay', replayed))
  const { stream, transport } = fakeStream({}, start)
  transport.isFull = !isWhole
  hub.subscribe(stream, ['a'], { filter: ({ data }) => !String(data).startsWith('2') || !isWhole })
  await settled()
  if (!isWhole) transport.lose()
  await settled()
  await hub.channel('a').publish({ data: 'live' })
  const message = {
    stream,
    events: isWhole ? 3 : room,
    duration: expect.any(Number),
    complete: isWhole,
    error: undefined,
  }
  expect(replayed).toHaveBeenCalledExactlyOnceWith(message, 'spillway:stream:replay')
})
it('says nothing of a replay in the metrics for a new client', async () => {
  const hub = new Hub()
  const replayed = vi.fn()
  subscribe('spillway:stream:replay', replayed)
  onTestFinished(() => void unsubscribe('spillway:stream:replay', replayed))
  const { stream } = fakeStream()
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['b'])
  await settled()
  expect(replayed).not.toHaveBeenCalled()
})
it('counts an event that is larger than the bound against the rate', async () => {
  const { stream, transport } = fakeStream({
    maxBufferedBytes: 100,
    rateLimit: { eventsPerSecond: 1, burst: 1 },
  })
  stream.send({ data: 'x'.repeat(200) })
  await nextTurn()
  stream.send({ data: 'next' })
  await nextTurn()
  expect(transport.writes).toHaveLength(1)
  expect(stream.bufferedEvents).toBe(1)
})
it('still filters what was published before a stream left the channel in the same turn', async () => {
  const hub = new Hub()
  const { stream, transport } = fakeStream()
  const leave = hub.subscribe(stream, ['a'], { filter: ({ data }) => data !== 'secret' })
  hub.subscribe(stream, ['b'])
  await settled()
  for (const data of ['secret', 'seen']) void hub.channel('a').publish({ data })
  leave()
  await settled()
  expect(read(transport)).toEqual(['message seen'])
})
const GAP = 'gap {"reason":"unknown"}'
it('tells a gap on a late channel, whatever was evicted on another one that was left meanwhile', async () => {
  const hub = new Hub({ store: new MemoryStore({ perChannel: { maxEvents: 1 } }) })
  const start = await hub.channel('c').publish({ data: 'c1' })
  await hub.channel('a').publish({ data: 'missed' })
  const { stream, transport } = fakeStream({}, start)
  hub.subscribe(stream, ['c'])
  await settled()
  hub.subscribe(stream, ['quiet'])
  const leaveB = hub.subscribe(stream, ['b'])
  hub.subscribe(stream, ['a'])
  leaveB()
  void hub.channel('b').publish({ data: 1 })
  void hub.channel('b').publish({ data: 2 })
  await settled()
  expect(read(transport)).toEqual([GAP])
})
it('owes a channel that is left a second time what it did not send of it', async () => {
  const hub = new Hub()
  const start = await hub.channel('a').publish({ data: 0 })
  await hub.channel('b').publish({ data: 'missed' })
  const { stream, transport } = fakeStream({}, start)
  hub.subscribe(stream, ['a'])
  const leave = hub.subscribe(stream, ['c'])
  await settled()
  leave()
  const leaveAgain = hub.subscribe(stream, ['c'])
  await settled()
  let resolve: (nothing: undefined) => void = () => {}
  const promise = new Promise<undefined>((r) => {
    resolve = r
  })
  hub.subscribe(stream, ['b'], { onGap: () => promise })
  await settled()
  await hub.channel('c').publish({ data: 'c' })
  leaveAgain()
  resolve(undefined)
  await settled()
  expect(read(transport)).toEqual([GAP])
  hub.subscribe(stream, ['c'])
  await settled()
  expect(read(transport)).toEqual([GAP, GAP])
})
it('tells no gap for what is published in the tick in which a channel is followed late', async () => {
  const hub = new Hub()
  const start = await hub.channel('a').publish({ data: 0 })
  const { stream, transport } = fakeStream({}, start)
  hub.subscribe(stream, ['a'])
  await settled()
  hub.subscribe(stream, ['b'])
  void hub.channel('b').publish({ data: 'live' })
  await settled()
  expect(read(transport)).toEqual(['message live'])
})
it('looks through all pages of a log for what was missed on a late channel', async () => {
  const hub = new Hub({ store: new SlowLog(new MemoryStore(), 1, 2) })
  const start = await hub.channel('a').publish({ data: 0 })
  for (let i = 0; i < 2; i++) await hub.channel('a').publish({ data: i })
  await hub.channel('b').publish({ data: 'missed' })
  const { stream, transport } = fakeStream({}, start)
  hub.subscribe(stream, ['a'])
  for (let i = 0; i < 10; i++) await settled()
  hub.subscribe(stream, ['b'])
  for (let i = 0; i < 10; i++) await settled()
  expect(read(transport)).toEqual(['message 0', 'message 1', GAP])
})
