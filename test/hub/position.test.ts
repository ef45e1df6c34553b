import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { turn } from '../../src/scheduler/turn.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred } from '../support/deferred.ts'
import { drainAll, eventsOf, GAP, publishNumbers, sseError } from '../support/hub.ts'
import { HubClient } from '../support/hub-client.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

/** The blocks that were written, without the opening bytes of a stream. */
const blocksOf = ({ all }: { all: readonly string[] }) => all.join('')

const position = (id: string) => `id: ${id}\nevent: position\ndata: {}\n\n`

describe('a new client', () => {
  it('is sent its position before its first event (decision 7.1)', async () => {
    const hub = new Hub()
    const id = await hub.channel('a').publish({ data: 'before' })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'a')
    await nextTurn()

    expect(blocksOf(transport)).toBe(position(id))
  })

  it('receives an event that was published while it was disconnected before its first event', async () => {
    const hub = new Hub()
    const client = new HubClient(hub, ['a'])
    client.connect()
    await settled()
    client.cut()

    await hub.channel('a').publish({ data: 'meanwhile' })
    client.connect()
    await settled()
    client.cut()

    expect(client.data).toEqual(['meanwhile'])
  })

  it('is sent no position if an event goes out in the same write', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'a')
    const id = await hub.channel('a').publish({ data: 1 })
    await nextTurn()

    expect(blocksOf(transport)).toBe(`id: ${id}\ndata: 1\n\n`)
  })

  it('is sent its position after what the application sends in the same turn', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'a')
    stream.send({ event: 'state', data: 'all' })
    await nextTurn()

    expect(transport.all).toEqual([`event: state\ndata: all\n\n${position(hub._store.position)}`])
  })

  it.each(['closes in the same turn', 'closes in a later turn'])(
    'is sent its position if it %s',
    async (when) => {
      const hub = new Hub()
      const { stream, transport } = fakeStream()

      hub.subscribe(stream, 'a')
      if (when === 'closes in a later turn') await nextTurn()
      stream.close()
      await settled()

      expect(blocksOf(transport)).toBe(position(hub._store.position))
      expect(transport.isEnded).toBe(true)
    },
  )

  it('is sent its position once the store is ready', async () => {
    const store = memoryStore()
    let markReady = () => {}
    const ready = new Promise<void>((resolve) => {
      markReady = resolve
    })
    const late = Object.assign(store, { ready: ready as Promise<void> | undefined })
    void ready.then(() => {
      late.ready = undefined
    })
    const hub = new Hub({ store: late })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'a')
    await settled()
    expect(transport.all).toEqual([])
    markReady()
    await settled()

    expect(blocksOf(transport)).toBe(position(store.position))
  })

  it('is sent nothing for its position when `positions` is false', async () => {
    const hub = new Hub({ positions: false })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a')
    await settled()
    expect(transport.all).toEqual([])
  })

  it('is sent a block with only an id when `positions` is `id`', async () => {
    const hub = new Hub({ positions: 'id' })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a')
    await settled()
    expect(blocksOf(transport)).toBe(`id: ${hub._store.position}\n\n`)
  })

  it('shares the bytes of its position with the other clients at that position', async () => {
    const hub = new Hub()
    const streams = [fakeStream(), fakeStream()]
    const from = vi.spyOn(Buffer, 'from')
    onTestFinished(() => void from.mockRestore())
    for (const { stream } of streams) hub.subscribe(stream, 'a')
    await settled()
    expect(from).toHaveBeenCalledTimes(1)
  })
})

describe('a position', () => {
  it.each([true, 'event ', 'comment', 1, null])('cannot be turned on by the option %j', (positions) => {
    expect(() => new Hub({ positions: positions as never })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  it('is not counted as an event, and spends nothing of a rate limit', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream({ rateLimit: { eventsPerSecond: 1, burst: 1 } })
    hub.subscribe(stream, 'a')
    stream.send({ data: 1 })
    await settled()
    expect(blocksOf(transport)).toBe(`data: 1\n\n${position(hub._store.position)}`)
  })

  it('neither closes a client whose queue is full nor drops its events', async () => {
    const hub = new Hub()
    for (const overflow of ['close', 'drop-oldest', 'drop-newest', 'conflate'] as const) {
      const { stream, transport } = fakeStream({ maxBufferedEvents: 2, overflow })
      const dropped = vi.fn()
      stream.on('drop', dropped)
      transport.isFull = true
      stream.send({ data: 'written' })
      await settled()
      stream.send({ data: 1, key: '1' })
      stream.send({ data: 2, key: '2' })

      hub.subscribe(stream, 'a')
      await settled()
      transport.drain()
      await settled()

      expect([overflow, stream.closed, dropped.mock.calls]).toEqual([overflow, false, []])
      expect(blocksOf(transport)).toBe(
        `data: written\n\ndata: 1\n\ndata: 2\n\n${position(hub._store.position)}`,
      )
    }
  })

  it.each(['drop-oldest', 'conflate'] as const)(
    'that a newer frame replaces is no dropped event with overflow %s',
    async (overflow) => {
      const hub = new Hub()
      const { stream, transport } = fakeStream({ maxBufferedEvents: 2, overflow })
      const dropped = vi.fn()
      stream.on('drop', dropped)
      transport.isFull = true
      stream.send({ data: 'written' })
      await settled()
      hub.subscribe(stream, 'a', { snapshot: () => [] })
      await settled()
      await hub.channel('other').publish({ data: 'moves the position' })
      hub.subscribe(stream, 'b', { snapshot: () => [] })
      await settled()
      expect(stream.bufferedEvents).toBe(2)
      for (let i = 0; i < 3; i++) await hub.channel('a').publish({ data: i, key: 'same' })
      await settled()
      expect(dropped.mock.calls.flat().reduce((sum, events) => sum + events, 0)).toBe(
        overflow === 'conflate' ? 2 : 1,
      )
    },
  )

  it('is offered only while the client keeps up', async () => {
    const hub = new Hub({ store: memoryStore({ maxEvents: 8 }) })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { filter: () => false })
    await settled()
    transport.isFull = true
    stream.send({ data: 'written' })
    await settled()
    for (let i = 0; i < 100; i++) await hub.channel('a').publish({ data: i })
    await settled()
    expect(stream.bufferedEvents).toBe(0)
  })

  it('is not passed to a filter', async () => {
    const hub = new Hub()
    const filter = vi.fn(() => true)
    const { stream } = fakeStream()
    hub.subscribe(stream, 'a', { filter })
    await settled()
    expect(filter).not.toHaveBeenCalled()
  })
})

describe('a stream that is closed while an event is delivered', () => {
  it.each(['its own', 'another'])('resumes before the event if %s filter closes it', async (whose) => {
    const hub = new Hub()
    const filter = () => {
      client.stream?.close()
      return true
    }
    const client: HubClient = new HubClient(hub, ['a'], whose === 'its own' ? { filter } : {})
    if (whose === 'another') hub.subscribe(fakeStream().stream, 'a', { filter })
    client.connect()
    void hub.channel('a').publish({ data: 'missed' })
    await settled()
    expect(client.stream?.closed).toBe(true)
    client.cut()

    client.connect()
    await settled()
    client.cut()

    expect(client.data).toEqual(['missed'])
  })

  it('is delivered no later event while the replay of another hub delays its end', async () => {
    const ready = new Promise<void>(() => {})
    const notReady = new Hub({ store: Object.assign(memoryStore(), { ready }) })
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    notReady.subscribe(stream, 'a')
    hub.subscribe(stream, 'a')
    await settled()
    stream.close()
    await hub.channel('a').publish({ data: 'after close()' })
    await settled()
    expect(transport.isEnded).toBe(false)
    expect(transport.writes).toEqual([])
  })
})

describe('a client that resumes', () => {
  it('is sent its position if it has missed nothing', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 1 })
    const end = await hub.channel('b').publish({ data: 2 })
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, 'a')
    await settled()
    expect(blocksOf(transport)).toBe(position(end))
  })

  it('is sent the replay before the end when the stream is closed at once', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3)
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'a')
    stream.close({ retry: 500 })
    expect(stream.closed).toBe(true)
    await settled()

    expect(transport.writes.join('')).toMatch(
      /^retry: 500\nid: \S+\ndata: 0\n\nid: \S+\ndata: 1\n\nid: \S+\ndata: 2\n\n$/,
    )
    expect(transport.isEnded).toBe(true)
    transport.lose()
    await settled()
    expect(hub.size).toBe(0)
  })

  it('is sent the replay of a channel that is added after the stream is closed', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 1)
    for (const channel of ['b', 'a', 'b']) await hub.channel(channel).publish({ data: channel })
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'a')
    stream.close()
    hub.subscribe(stream, 'b')
    await settled()

    expect(eventsOf(transport)).toEqual(['message 0', 'message b', 'message a', 'message b'])
    expect(transport.isEnded).toBe(true)
  })

  it('is closed after the grace period when its snapshot never ends', async () => {
    await using time = holdClock()
    const hub = new Hub()
    const returned = vi.fn(async () => ({ done: true as const, value: undefined }))
    const events = [Promise.resolve({ done: false as const, value: { event: 'state', data: 'first' } })]
    const next = () => events.pop() ?? new Promise<never>(() => {})
    const source = () => ({ [Symbol.asyncIterator]: () => ({ next, return: returned }) })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { snapshot: source })
    await settled()
    stream.close()
    await settled()
    expect(transport.isEnded).toBe(false)

    time.advance(5_200)
    await settled()

    expect(transport.isEnded).toBe(true)
    transport.lose()
    await settled()
    expect(returned).toHaveBeenCalledOnce()
  })
})

describe('the position of a client that stays connected', () => {
  it('replaces its heartbeat when half of the window lies after it (decision 7.2)', async () => {
    await using time = holdClock()
    const hub = new Hub({ store: memoryStore({ maxEvents: 500 }) })
    const { stream, transport } = fakeStream({ heartbeat: 1_000 })
    hub.subscribe(stream, 'a', { filter: () => false })
    await settled()
    for (let i = 0; i < 300; i++) void hub.channel('a').publish({ data: i })
    await settled()
    expect(blocksOf(transport)).toMatch(/^id: \S+-0\nevent: position\ndata: \{\}\n\n$/)

    time.advance(2_200)

    expect(blocksOf(transport)).toContain(position(hub._store.position))
    time.advance(2_200)
    expect(blocksOf(transport)).toMatch(/\n\n(:\n)+$/)
  })

  it('is current after a filter has hidden 2 000 of 2 001 events from a log of 500', async () => {
    const hub = new Hub({ store: memoryStore({ maxEvents: 500 }) })
    const client = new HubClient(hub, ['a'], { filter: ({ data }) => data === 0 })
    client.connect()
    for (let i = 0; i <= 2_000; i++) void hub.channel('a').publish({ data: i })
    await settled()
    client.cut()
    client.connect()
    await settled()
    client.cut()
    expect(client.seen.filter(({ event }) => event !== 'position')).toMatchObject([
      { event: 'message', data: '0' },
    ])
  })

  it('is current with a limit for each channel, and when the events are published one by one', async () => {
    const hub = new Hub({ store: memoryStore({ perChannel: { maxEvents: 20 } }) })
    const client = new HubClient(hub, ['a', 'b'], { filter: ({ data }) => data === 0 })
    client.connect()
    for (let i = 0; i <= 100; i++) await hub.channel(i % 3 ? 'a' : 'b').publish({ data: i })
    await settled()
    client.cut()
    client.connect()
    await settled()
    client.cut()
    expect(client.data).toEqual(['0'])
    // Far fewer positions than hidden events.
    expect(client.seen.filter(({ event }) => event === 'position').length).toBeLessThan(20)
  })

  it('is current after events of a busy channel have evicted the one that a filter hid', async () => {
    const hub = new Hub({ store: memoryStore({ maxEvents: 100 }) })
    const client = new HubClient(hub, ['a'], { filter: () => false })
    client.connect()
    await settled()
    await hub.channel('a').publish({ data: 'hidden' })
    for (let i = 0; i < 150; i++) {
      await hub.channel('busy').publish({ data: i })
      await nextTurn()
    }
    client.cut()
    client.connect()
    await settled()
    client.cut()
    // When it connected, before the hidden event was evicted, and when it connected again.
    expect(client.seen.map(({ event }) => event)).toEqual(['position', 'position', 'position'])
  })

  it('is not sent to a filtered client of a conflating channel, because nothing is evicted', async () => {
    const hub = new Hub()
    const client = new HubClient(hub, ['a'], { filter: ({ data }) => data === 0 })
    client.connect()
    const channel = hub.channel('a', { conflate: true })
    for (let i = 0; i <= 1_000; i++) await channel.publish({ data: i, key: 'same' })
    await settled()
    client.cut()
    expect(client.seen.length).toBe(1)
  })

  it.each([
    ['1 event', { perChannel: { maxEvents: 1 } }, 10],
    ['4 events', { maxEvents: 4 }, 10],
    ['6 large events', { maxBytes: 18_500 }, 1_000],
    ['no large event', { maxBytes: 2_500 }, 1_000],
    ['no large event of a channel', { perChannel: { maxBytes: 2_500 } }, 1_000],
  ])('is current when a filter hides the events of a log that holds %s', async (_log, limits, size) => {
    const hub = new Hub({ store: memoryStore(limits) })
    const client = new HubClient(hub, ['a'], { filter: ({ data }) => data === 'shown' })
    client.connect()
    await settled()
    for (let i = 1; i <= 30; i++) {
      await hub.channel('a').publish({ data: i % 7 ? 'x'.repeat(size) : 'shown' })
      await settled()
      client.cut()
      expect(client.seen.map(({ event }) => event)).not.toContain('gap')
      // The next events are hidden from a client that stays connected.
      const again = client.connect()
      await settled()
      for (let j = 0; j < i % 9; j++) await hub.channel('a').publish({ data: 'x'.repeat(size) })
      await settled()
      expect(again.closed).toBe(false)
    }
  })

  it.each([
    ['is sent', 1_000],
    ['is disabled', 0],
  ])(
    'is current among more channels than the store remembers when the heartbeat %s',
    async (_is, heartbeat) => {
      await using time = holdClock()
      const hub = new Hub({ store: memoryStore({ maxEvents: 1_000 }) })
      const { stream, transport } = fakeStream({ heartbeat })
      hub.subscribe(stream, 'quiet')
      await settled()
      for (let i = 0; i < 12_000; i++) {
        void hub.channel(`other-${i}`).publish({ data: i })
        if (i % 400 > 0) continue
        await settled()
        time.advance(1_200)
      }
      await settled()

      const lastEventId = /.*id: (\S+)/s.exec(blocksOf(transport))?.[1] as string
      const again = fakeStream({}, lastEventId)
      hub.subscribe(again.stream, 'quiet')
      await settled()
      expect(again.transport.writes).toEqual([])
    },
  )

  it('does not overtake an event that is published while the streams are flushed', async () => {
    const hub = new Hub({ store: memoryStore({ maxEvents: 4 }) })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { filter: ({ data }) => data === 'shown' })
    await settled()
    const published = deferred<Promise<string>>()
    // Runs before the hub renews positions, as a `drop` listener of another stream may.
    turn.scheduleFlush({ _flush: () => published.resolve(hub.channel('a').publish({ data: 'shown' })) })
    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: i })
    await settled()
    const id = await published.promise
    const text = blocksOf(transport)
    expect(text.indexOf(`id: ${id}\n`)).toBe(text.indexOf(`id: ${id}\ndata: shown`))
    expect(text).toContain(`id: ${id}\ndata: shown`)
  })

  it('does not overtake an event that is still to be delivered', async () => {
    await using time = holdClock()
    const hub = new Hub({ store: memoryStore({ maxEvents: 4 }) })
    const { stream, transport } = fakeStream({ heartbeat: 1_000 })
    hub.subscribe(stream, ['a', 'b'], { filter: ({ data }) => data === 'shown' })
    await settled()
    for (let i = 0; i < 3; i++) await hub.channel('a').publish({ data: i })
    await settled()
    const id = hub.channel('b').publish({ data: 'shown' })
    time.advance(2_200)
    await settled()
    const text = blocksOf(transport)
    expect(text.indexOf(`id: ${await id}\n`)).toBe(text.indexOf(`id: ${await id}\ndata: shown`))
  })
})

describe('snapshot', () => {
  it('is sent to a new client before live events, none of which is lost meanwhile (decision 7.5)', async () => {
    const hub = new Hub()
    await publishNumbers(hub, 3)
    const snapshot = vi.fn(async () => {
      void hub.channel('a').publish({ data: 'during the read' })
      await settled()
      void hub.channel('a').publish({ data: 'after the read' })
      return [{ event: 'state', data: 'all' }]
    })
    const { stream, transport } = fakeStream()
    const { position: before } = hub._store

    hub.subscribe(stream, 'a', { snapshot })
    await settled()
    await settled()
    await hub.channel('a').publish({ data: 'live' })
    await settled()

    expect(snapshot).toHaveBeenCalledExactlyOnceWith(stream, undefined)
    expect(blocksOf(transport).replaceAll(/id: \S+\ndata/g, 'data')).toBe(
      `event: state\ndata: all\n\n${position(before)}data: during the read\n\ndata: after the read\n\ndata: live\n\n`,
    )
  })

  it('is sent again to a client that was cut off during it', async () => {
    const hub = new Hub()
    const client = new HubClient(hub, ['a'], {
      snapshot: () => [
        { event: 'state', data: '1' },
        { event: 'state', data: '2' },
      ],
    })
    client.connect()
    await settled()
    client.cut(0.4)
    client.connect()
    await settled()
    client.cut()
    expect(client.data.slice(-2)).toEqual(['1', '2'])
  })

  it('is not sent to a client that resumes', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 1)
    const snapshot = vi.fn()
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, 'a', { snapshot })
    await settled()
    expect(snapshot).not.toHaveBeenCalled()
    expect(transport.writes.join('')).toMatch(/data: 0\n\n$/)
  })

  it.each([
    ['after a gap', 'other-1', 'unknown'],
    ['after an unreadable id', null, 'unreadable'],
  ])('is sent in place of the gap event %s', async (_when, lastEventId, reason) => {
    const hub = new Hub()
    await publishNumbers(hub, 1)
    const snapshot = vi.fn(() => [{ event: 'state', data: 'all' }])
    const { stream, transport } = fakeStream({}, lastEventId)
    hub.subscribe(stream, 'a', { snapshot })
    await settled()
    expect(snapshot.mock.calls).toMatchObject([[stream, { reason }]])
    expect(blocksOf(transport)).toBe(`event: state\ndata: all\n\n${position(hub._store.position)}`)
  })

  it('of each channel is sent, and a shared one once', async () => {
    const hub = new Hub()
    const shared = vi.fn(() => [{ event: 'state', data: 'shared' }])
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a', 'b'], { snapshot: shared })
    hub.subscribe(stream, 'c', { snapshot: shared })
    hub.subscribe(stream, 'd', { snapshot: async () => [{ event: 'state', data: 'd' }] })
    await settled()
    expect(transport.writes.join('')).toBe('event: state\ndata: shared\n\nevent: state\ndata: d\n\n')
  })

  it('of a channel that is added later is sent before the next live event', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a')
    await settled()
    hub.subscribe(stream, 'b', {
      snapshot: async () => {
        await settled()
        return [{ event: 'state', data: 'b' }]
      },
    })
    await hub.channel('a').publish({ data: 'a' })
    await hub.channel('b').publish({ data: 'b' })
    await settled()
    await settled()
    expect(transport.writes.join('').replaceAll(/id: \S+\n/g, '')).toBe(
      'event: state\ndata: b\n\ndata: a\n\ndata: b\n\n',
    )
  })

  it('is not sent if its subscription is removed before, even if another one remains', async () => {
    const hub = new Hub()
    const snapshot = vi.fn(() => [{ event: 'state', data: 'b' }])
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a')
    hub.subscribe(stream, 'b', { snapshot })()
    await settled()
    expect(snapshot).not.toHaveBeenCalled()
    expect(blocksOf(transport)).toBe(position(hub._store.position))
  })

  it('is replaced by the events of onGap, also if two subscriptions share both functions', async () => {
    const hub = new Hub()
    const options = { onGap: () => [{ data: 'of onGap' }], snapshot: vi.fn(() => [{ data: 'snapshot' }]) }
    const { stream, transport } = fakeStream({}, 'other-1')
    hub.subscribe(stream, 'a', options)
    hub.subscribe(stream, 'b', options)
    await settled()
    expect(transport.writes.join('')).toBe('data: of onGap\n\n')
    expect(options.snapshot).not.toHaveBeenCalled()
  })

  it('of another subscription is sent beside the events of onGap', async () => {
    const hub = new Hub()
    const snapshot = vi.fn(() => [{ data: 'snapshot' }])
    const { stream, transport } = fakeStream({}, 'other-1')
    hub.subscribe(stream, 'a', { onGap: () => [{ data: 'of onGap' }], snapshot })
    hub.subscribe(stream, 'b', { snapshot })
    await settled()
    expect(transport.writes.join('')).toBe('data: of onGap\n\ndata: snapshot\n\n')
  })

  it('that fails ends the stream with its error', async () => {
    const hub = new Hub()
    const error = new Error('no database')
    const { stream } = fakeStream()
    hub.subscribe(stream, 'a', { snapshot: () => Promise.reject(error) })
    await settled()
    expect(stream.closeReason).toBe('error')
    expect(hub.size).toBe(0)
  })

  it('is closed when the client disconnects during it', async () => {
    const hub = new Hub()
    const returned = vi.fn(async () => ({ done: true as const, value: undefined }))
    const source = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: returned }),
    }
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { snapshot: () => source })
    await settled()
    transport.lose()
    await settled()
    expect(returned).toHaveBeenCalledOnce()
  })
})

describe('from', () => {
  const dataOf = (transport: { writes: readonly string[] }) =>
    [...transport.writes.join('').matchAll(/^data: (.*)$/gm)].map(([, data]) => data)

  async function opened(
    options: object,
    subscribe: (hub: Hub, stream: ReturnType<typeof fakeStream>['stream']) => void,
  ) {
    const hub = new Hub({ store: memoryStore(options) })
    for (let i = 0; i < 6; i++) await hub.channel(i % 2 ? 'odd' : 'even').publish({ data: i })
    const { stream, transport } = fakeStream()
    subscribe(hub, stream)
    await settled()
    await hub.channel('even').publish({ data: 'live' })
    await settled()
    return { hub, stream, transport }
  }

  it.each([
    ['start', ['0', '2', '4', 'live']],
    ['now', ['live']],
    [{ last: 2 }, ['2', '4', 'live']],
    [{ last: 50 }, ['0', '2', '4', 'live']],
  ])('%j gives a new client the stored events %j', async (from, expected) => {
    const { transport } = await opened({}, (hub, stream) => hub.subscribe(stream, 'even', { from }))
    expect(dataOf(transport)).toEqual(expected)
  })

  it('an id gives a new client the events after it', async () => {
    const { transport } = await opened({}, (hub, stream) => {
      const id = hub._store.position.replace(/\d+$/, '3')
      hub.subscribe(stream, 'even', { from: id })
    })
    expect(dataOf(transport)).toEqual(['4', 'live'])
  })

  it('an unknown id is a gap', async () => {
    const { transport } = await opened({}, (hub, stream) =>
      hub.subscribe(stream, 'even', { from: 'other-1' }),
    )
    expect(dataOf(transport)).toEqual(['{"reason":"evicted"}', 'live'])
  })

  it('counts the events of all channels of one call, and starts the others at the present', async () => {
    const { transport } = await opened({}, (hub, stream) => {
      hub.subscribe(stream, ['even', 'odd'], { from: { last: 3 } })
      hub.subscribe(stream, 'more')
    })
    expect(dataOf(transport)).toEqual(['3', '4', '5', 'live'])
  })

  it('of several calls delivers the events in the order of the log', async () => {
    const { transport } = await opened({}, (hub, stream) => {
      hub.subscribe(stream, 'even', { from: 'start' })
      hub.subscribe(stream, 'odd', { from: { last: 2 } })
    })
    expect(dataOf(transport)).toEqual(['0', '2', '3', '4', '5', 'live'])
  })

  it('of a channel is not affected by what was evicted from another one', async () => {
    const hub = new Hub({ store: memoryStore({ perChannel: { maxEvents: 2 } }) })
    await hub.channel('deploy').publish({ data: 'begin' })
    for (let i = 0; i < 5; i++) await hub.channel('busy').publish({ data: i })
    await hub.channel('deploy').publish({ data: 'end' })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'deploy', { from: 'start' })
    hub.subscribe(stream, 'busy')
    await settled()
    await hub.channel('busy').publish({ data: 'live' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message begin', 'message end', 'message live'])
  })

  it('of one channel gives a client that resumes no earlier event of another one', async () => {
    const hub = new Hub()
    await hub.channel('deploy').publish({ data: 'begin' })
    const id = await hub.channel('busy').publish({ data: 'before' })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'deploy', { from: 'start' })
    hub.subscribe(stream, 'busy')
    await settled()

    expect(eventsOf(transport)).toEqual(['message begin'])
    expect(blocksOf(transport)).toMatch(new RegExp(`${position(id)}$`))
  })

  it.each(['a snapshot of a channel that is added later', 'a loss of the store'])(
    'is not read again for %s',
    async (cause) => {
      const store = memoryStore()
      const open = vi.spyOn(store, 'open')
      const hub = new Hub({ store })
      await hub.channel('a').publish({ data: 'old' })
      const { stream, transport } = fakeStream()
      hub.subscribe(stream, 'a', { from: 'start' })
      await settled()
      transport.writes.length = 0

      const isLoss = cause === 'a loss of the store'
      if (isLoss) open.mock.calls[0]?.[0].onLoss()
      else hub.subscribe(stream, 'b', { snapshot: () => [{ event: 'state', data: 'all' }] })
      await settled()

      expect(eventsOf(transport)).toEqual([isLoss ? GAP : 'state all'])
    },
  )

  it('of two calls reports an evicted beginning once', async () => {
    const hub = new Hub({ store: memoryStore({ perChannel: { maxEvents: 2 } }) })
    await hub.channel('kept').publish({ data: 'begin' })
    for (let i = 0; i < 5; i++) await hub.channel('evicted').publish({ data: i })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'kept', { from: 'start' })
    hub.subscribe(stream, 'evicted', { from: 'start' })
    await settled()

    const events = ['gap {"reason":"evicted"}', 'message begin', 'message 3', 'message 4']
    expect(eventsOf(transport)).toEqual(events)
  })

  it('is forgotten when the stream ends its subscription before it was sent', async () => {
    const hub = new Hub()
    for (const channel of ['a', 'b']) await hub.channel(channel).publish({ data: channel })
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 'full' })
    await settled()

    const unsubscribe = hub.subscribe(stream, 'a', { from: 'start' })
    await settled()
    unsubscribe()
    hub.subscribe(stream, 'b')
    await settled()
    transport.drain()
    await settled()

    expect(eventsOf(transport)).toEqual(['message full'])
  })

  it('is forgotten after a gap when its channel was removed and added again', async () => {
    const hub = new Hub({ store: memoryStore({ maxEvents: 4 }) })
    for (const channel of ['a', 'other']) await hub.channel(channel).publish({ data: channel })
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 'full' })
    await settled()
    const onGap = async () => {
      await hub.channel('a').publish({ data: 'meanwhile' })
      return []
    }

    hub.subscribe(stream, 'b', { onGap })
    const unsubscribe = hub.subscribe(stream, 'a', { from: 'start' })
    await settled()
    unsubscribe()
    hub.subscribe(stream, 'a')
    for (let i = 0; i < 5; i++) await hub.channel('other').publish({ data: i })
    await drainAll(transport)

    expect(eventsOf(transport)).toContain('message meanwhile')
    const ids = [...transport.all.join('').matchAll(/^id: .*-(\d+)$/gm)].map(([, number]) => Number(number))
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
  })

  it.each([['start'], [{ last: 50 }]] as const)(
    '%j reports that the beginning of the channel was evicted',
    async (from) => {
      const { transport } = await opened({ maxEvents: 3 }, (hub, stream) =>
        hub.subscribe(stream, 'even', { from }),
      )
      expect(dataOf(transport)).toEqual(['{"reason":"evicted"}', '4', 'live'])
    },
  )

  it('reports nothing if enough events are stored', async () => {
    const { transport } = await opened({ maxEvents: 3 }, (hub, stream) =>
      hub.subscribe(stream, 'even', { from: { last: 1 } }),
    )
    expect(dataOf(transport)).toEqual(['4', 'live'])
  })

  it('is ignored for a client that resumes', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3)
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, 'a', { from: { last: 1 } })
    await settled()
    expect(dataOf(transport)).toEqual(['0', '1', '2'])
  })

  it('applies after the gap of a client whose position is unknown', async () => {
    const hub = new Hub()
    await publishNumbers(hub, 3)
    const { stream, transport } = fakeStream({}, 'other-1')
    hub.subscribe(stream, 'a', { from: { last: 2 } })
    await settled()
    expect(dataOf(transport)).toEqual(['{"reason":"unknown"}', '1', '2'])
    expect(GAP).toContain('unknown')
  })

  it('of a channel that is added later throws ERR_SSE_OPTION', async () => {
    const hub = new Hub()
    const { stream } = fakeStream()
    hub.subscribe(stream, 'a')
    await settled()
    expect(() => hub.subscribe(stream, 'b', { from: 'start' })).toThrow(sseError('ERR_SSE_OPTION'))
    hub.subscribe(stream, 'b', { from: 'now' })
  })

  it('throws ERR_SSE_OPTION for a store that has no history', () => {
    const inner = memoryStore()
    const store = {
      get position() {
        return inner.position
      },
      open: inner.open.bind(inner),
      append: inner.append.bind(inner),
      read: inner.read.bind(inner),
      close: inner.close.bind(inner),
    }
    const { stream } = fakeStream()
    const hub = new Hub({ store })
    expect(() => hub.subscribe(stream, 'a', { from: 'start' })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(hub.size).toBe(0)
  })

  it.each<[from: unknown, given: string]>([
    ['', '""'],
    ['beginning', '"beginning"'],
    ['latest', '"latest"'],
    ['Start', '"Start"'],
    [0, '0'],
    [null, 'null'],
    [new Date(0), 'a Date'],
    [{}, 'an object'],
    [[], 'an array'],
  ])('%j throws an error with all that is expected', (from, given) => {
    const message = `Option from must be 'now', 'start', { last: 50 } or an id, not ${given}.`
    const { stream } = fakeStream()
    expect(() => new Hub().subscribe(stream, 'a', { from: from as never })).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION', message }),
    )
  })

  it('{ last: 0 } throws an error with the path of the option', () => {
    const subscribe = () => new Hub().subscribe(fakeStream().stream, 'a', { from: { last: 0 } })
    expect(subscribe).toThrow('Option from.last must be a whole number from 1 to')
  })

  it.each([{ last: 0 }, { last: 1.5 }, { first: 1 }])('%j throws ERR_SSE_OPTION', (from) => {
    const { stream } = fakeStream()
    expect(() => new Hub().subscribe(stream, 'a', { from: from as never })).toThrow(
      sseError('ERR_SSE_OPTION'),
    )
  })
})
