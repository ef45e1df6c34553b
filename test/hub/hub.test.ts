import { describe, expect, expectTypeOf, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { HubClient } from '../support/hub-client.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })
const read = (transport: { writes: string[] }) =>
  parseEvents(transport.writes.join('')).map(({ event = 'message', data }) => `${event} ${data}`)

/** A stream that has been subscribed, and what has come of it. */
async function follow(hub: Hub, channels: string[], ...args: Parameters<typeof fakeStream>) {
  const made = fakeStream(...args)
  const unsubscribe = hub.subscribe(made.stream, channels)
  await settled()
  return { ...made, unsubscribe }
}

describe('publishing', () => {
  it('reaches every stream of the channel, with the id it resolves with', async () => {
    const hub = new Hub()
    const [one, two, other] = await Promise.all(['a', 'a', 'b'].map((channel) => follow(hub, [channel])))
    const id = await hub.channel('a').publish({ event: 'tick', data: { n: 1 } })
    await settled()
    expect(one?.transport.writes).toEqual([`id: ${id}\nevent: tick\ndata: {"n":1}\n\n`])
    expect(two?.transport.frames[0]).toBe(one?.transport.frames[0])
    expect(other?.transport.writes).toEqual([])
  })

  it('encodes once, and joins a turn once, for all streams', async () => {
    const hub = new Hub({ serialize: vi.fn(JSON.stringify) })
    const streams = await Promise.all(Array.from({ length: 5 }, () => follow(hub, ['a'])))
    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: { i } })
    await settled()
    expect(new Set(streams.map(({ transport }) => transport.frames[0])).size).toBe(1)
    expect(streams[0]?.transport.frames).toHaveLength(1)
    expect(read(streams[4]?.transport ?? { writes: [] })).toHaveLength(3)
  })

  it('goes through the serialiser of the hub', async () => {
    const hub = new Hub({ serialize: (data) => `<${data}>` })
    const { transport } = await follow(hub, ['a'])
    await hub.channel('a').publish({ data: 7 })
    await settled()
    expect(read(transport)).toEqual(['message <7>'])
  })

  it.each<[string, unknown, string]>([
    ['an id', { id: '1', data: 1 }, 'ERR_SSE_ID'],
    ['no data', { event: 'tick' }, 'ERR_SSE_DATA'],
    ['data that cannot be serialised', { data: 1n }, 'ERR_SSE_DATA'],
    ['a line end in its name', { event: 'a\nb', data: 1 }, 'ERR_SSE_EVENT_NAME'],
    ['no form at all', 'text', 'ERR_SSE_EVENT'],
    ['a key that is no string', { data: 1, key: Symbol('key') }, 'ERR_SSE_EVENT'],
  ])('rejects an event with %s, and nothing is published', async (_name, event, expected) => {
    const hub = new Hub()
    const { transport } = await follow(hub, ['a'])
    await expect(hub.channel('a').publish(event as never)).rejects.toThrow(code(expected))
    const typo = { idempotencykey: 'order-7' } as never
    await expect(hub.channel('a').publish({ data: 1 }, typo)).rejects.toThrow(code('ERR_SSE_OPTION'))
    const map = new Map([['idempotencyKey', 'order-7']])
    for (const options of [map, 5, null, true, { conflate: true }] as never[])
      await expect(hub.channel('a').publish({ data: 1 }, options)).rejects.toThrow(code('ERR_SSE_OPTION'))
    await settled()
    expect(transport.writes).toEqual([])
  })

  it('delivers what has the same idempotency key once', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub, ['a'])
    const first = await hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'order-7' })
    const again = await hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'order-7' })
    await settled()
    expect(again).toBe(first)
    expect(read(transport)).toEqual(['message 1'])
  })

  it('is not stopped by a client that is cut off, left, or leaves while it runs (rule 32)', async () => {
    const hub = new Hub()
    const [first, leaving, last] = await Promise.all(
      Array.from({ length: 3 }, () => follow(hub, ['a'], { maxBufferedEvents: 1 })),
    )
    if (!first || !leaving || !last) throw new Error('unreachable')
    first.transport.isFull = true
    for (let i = 0; i < 5; i++) {
      if (i === 2) leaving.transport.lose()
      if (i === 3) last.stream.once('close', () => void hub.channel('a').publish({ data: 'more' }))
      await hub.channel('a').publish({ data: i })
      await settled()
    }
    expect(first.stream.closeReason).toBe('overflow')
    expect(read(last.transport)).toEqual([0, 1, 2, 3, 4].map((i) => `message ${i}`))
    await settled()
    expect(hub.size).toBe(1)
  })
})

describe('subscribing', () => {
  it('begins for a new client with what is published after it, in the same turn too', async () => {
    const hub = new Hub()
    await hub.channel('a').publish({ data: 'before' })
    const { stream, transport } = fakeStream()
    hub.channel('a').subscribe(stream)
    void hub.channel('a').publish({ data: 'after' })
    await settled()
    expect(read(transport)).toEqual(['message after'])
  })

  it('resumes one place over several channels, in the order of the log', async () => {
    const hub = new Hub()
    const client = new HubClient(hub, ['a', 'b'])
    client.connect()
    await settled()
    await hub.channel('a').publish({ data: 1 })
    await settled()
    client.cut()
    for (let i = 2; i < 8; i++) await hub.channel(i % 2 ? 'a' : 'b').publish({ data: i })
    await hub.channel('c').publish({ data: 'not mine' })
    client.connect()
    await settled()
    client.cut()
    expect(client.data).toEqual(['1', '2', '3', '4', '5', '6', '7'])
  })

  it('resumes channels together that are followed in one turn', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 1; i < 5; i++) await hub.channel(i % 2 ? 'a' : 'b').publish({ data: i })
    const { stream, transport } = fakeStream({}, start)
    hub.channel('b').subscribe(stream)
    hub.channel('a').subscribe(stream)
    await settled()
    expect(read(transport)).toEqual([1, 2, 3, 4].map((i) => `message ${i}`))
  })

  it('follows a channel that is added later from then on, and tells a gap only if something was missed on it', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    await hub.channel('b').publish({ data: 'missed' })
    const { stream, transport } = await follow(hub, ['a'], {}, start)
    hub.subscribe(stream, ['quiet'])
    hub.channel('a').publish({ data: 'a' })
    await settled()
    hub.subscribe(stream, ['b'])
    hub.channel('b').publish({ data: 'b' })
    hub.channel('a').publish({ data: 'a2' })
    await settled()
    expect(read(transport)).toEqual(['message a', 'gap {"reason":"unknown"}', 'message b', 'message a2'])
  })

  it('follows a channel once that is subscribed twice', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub, ['a', 'a'])
    hub.channel('a').subscribe(stream)
    await settled()
    hub.channel('a').subscribe(stream)
    await hub.channel('a').publish({ data: 1 })
    await settled()
    expect(read(transport)).toEqual(['message 1'])
  })

  it('ends with the function it returned, for those channels', async () => {
    const hub = new Hub()
    const { stream, transport, unsubscribe } = await follow(hub, ['a', 'b'])
    const leaveC = hub.subscribe(stream, ['c'])
    await settled()
    unsubscribe()
    unsubscribe()
    for (const channel of ['a', 'b', 'c']) await hub.channel(channel).publish({ data: channel })
    await settled()
    expect(read(transport)).toEqual(['message c'])
    leaveC()
    expect(hub.size).toBe(0)
    expect(stream.closed).toBe(false)
  })

  it('can be taken up again after it has ended', async () => {
    const hub = new Hub()
    const { stream, transport, unsubscribe } = await follow(hub, ['a'])
    unsubscribe()
    await hub.channel('a').publish({ data: 'between' })
    hub.subscribe(stream, ['a'])
    await settled()
    await hub.channel('a').publish({ data: 'again' })
    await settled()
    expect(read(transport)).toEqual(['message again'])
  })

  it('does not resume a second time: ids never go backwards', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 1; i < 4; i++) await hub.channel('a').publish({ data: i })
    const { stream, transport, unsubscribe } = await follow(hub, ['a'], {}, start)
    unsubscribe()
    hub.subscribe(stream, ['a'])
    await settled()
    hub.subscribe(stream, ['a'])
    await settled()
    await hub.channel('a').publish({ data: 4 })
    await settled()
    expect(read(transport)).toEqual([1, 2, 3, 4].map((i) => `message ${i}`))
  })

  it('leaves nothing behind when streams close, at any moment of it (rule 33)', async () => {
    const hub = new Hub()
    const before = fakeStream()
    before.stream.destroy()
    hub.subscribe(before.stream, ['a'])
    const during = fakeStream()
    hub.subscribe(during.stream, ['a'])
    during.transport.lose()
    const { transport } = await follow(hub, ['a'])
    transport.lose()
    await settled()
    expect(hub.size).toBe(0)
    await hub.channel('a').publish({ data: 1 })
  })

  it('is paced by the client: a long replay waits for room and never trips the bound', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 'start' })
    for (let i = 0; i < 300; i++) await hub.channel('a').publish({ data: `${i}`.padEnd(1000) })
    const { stream, transport } = fakeStream({ maxBufferedEvents: 40 }, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'])
    await settled()
    void hub.channel('a').publish({ data: 'live' })
    expect(stream.bufferedEvents).toBeLessThan(40)
    for (let i = 0; i < 60; i++) {
      transport.drain()
      transport.isFull = i < 50
      await settled()
    }
    expect(read(transport)).toHaveLength(301)
    expect(read(transport).at(-1)).toBe('message live')
  })

  it.each<[unknown[], string]>([
    [[{}, ['a']], 'ERR_SSE_STREAM'],
    [[undefined, ['a']], 'ERR_SSE_STREAM'],
    [['stream', []], 'ERR_SSE_CHANNEL'],
    [['stream', 5], 'ERR_SSE_CHANNEL'],
    [['stream', ''], 'ERR_SSE_CHANNEL'],
    [['stream', ['a\nb']], 'ERR_SSE_CHANNEL'],
    [['stream', ['x'.repeat(256)]], 'ERR_SSE_CHANNEL'],
    [['stream', ['a'], { filters: () => true }], 'ERR_SSE_OPTION'],
    [['stream', ['a'], { onGap: 'snapshot' }], 'ERR_SSE_OPTION'],
  ])('refuses %j', ([stream, ...rest], expected) => {
    const hub = new Hub()
    const args = [stream === 'stream' ? fakeStream().stream : stream, ...rest] as Parameters<Hub['subscribe']>
    expect(() => hub.subscribe(...args)).toThrow(code(expected))
    expect(() => hub.channel('')).toThrow(code('ERR_SSE_CHANNEL'))
    expect(() => new Hub({ logs: 1 } as never)).toThrow(code('ERR_SSE_OPTION'))
    expect(() => new Hub({ store: { append() {} } } as never)).toThrow(code('ERR_SSE_OPTION'))
    const log = new MemoryStore()
    new Hub({ store: log })
    expect(() => new Hub({ store: log })).toThrow(code('ERR_SSE_OPTION'))
  })

  it.each<[unknown, string]>([
    [5, 'Channels must be a name or a list of names, not 5.'],
    [[], 'Channels must be a name or a list of names, not an empty list.'],
    [['ok', 5], 'A channel name must be a string of 1 to 255 characters without CR, LF and NUL, not 5.'],
  ])('says what is wrong with the channels %j', (channels, message) => {
    const hub = new Hub()
    expect(() => hub.subscribe(fakeStream().stream, channels as never)).toThrow(message)
  })
})

describe('a filter', () => {
  const onlyEven = ({ data }: { data?: unknown }) => Number(data) % 2 === 0

  it('runs on what is replayed as on what is live (rule 26)', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 1; i < 5; i++) await hub.channel('a').publish({ data: i })
    const { stream, transport } = fakeStream({}, start)
    hub.channel('a').subscribe(stream, { filter: onlyEven })
    await settled()
    for (let i = 5; i < 9; i++) await hub.channel('a').publish({ data: i })
    await settled()
    expect(read(transport)).toEqual(['message 2', 'message 4', 'message 6', 'message 8'])
  })

  it('goes on when the stream follows another channel without one', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.channel('a').subscribe(stream, { filter: onlyEven })
    hub.channel('b').subscribe(stream)
    await settled()
    for (let i = 0; i < 4; i++)
      for (const channel of ['a', 'b']) await hub.channel(channel).publish({ data: i })
    await settled()
    expect(read(transport)).toEqual(['0', '0', '1', '2', '2', '3'].map((i) => `message ${i}`))
  })

  it('sees the event with its id, and the channel', async () => {
    const hub = new Hub()
    const filter = vi.fn(() => true)
    const { stream } = fakeStream()
    hub.subscribe(stream, ['a'], { filter })
    await settled()
    const id = await hub.channel('a').publish({ event: 'tick', data: { n: 1 } })
    await settled()
    expect(filter).toHaveBeenCalledWith({ event: 'tick', data: { n: 1 }, id }, 'a')
  })

  it.each(['live', 'replayed'])(
    'that throws ends that stream alone, before a %s event is seen',
    async (when) => {
      const hub = new Hub()
      const error = new Error('filter')
      const start = await hub.channel('a').publish({ data: 0 })
      if (when === 'replayed') await hub.channel('a').publish({ data: 'secret' })
      const { stream, transport } = fakeStream({}, start)
      const end = closed(stream)
      const other = await follow(hub, ['a'])
      hub.subscribe(stream, ['a'], {
        filter: () => {
          throw error
        },
      })
      await settled()
      if (when === 'live') await hub.channel('a').publish({ data: 'secret' })
      await settled()
      expect(await end).toEqual({ reason: 'error', error })
      expect(transport.writes).toEqual([])
      if (when === 'live') expect(read(other.transport)).toEqual(['message secret'])
    },
  )
})

describe('a gap', () => {
  const smallHub = (options = {}) => new Hub({ store: new MemoryStore({ maxEvents: 2 }), ...options })

  async function evict(hub: Hub) {
    const start = await hub.channel('a').publish({ data: 'start' })
    for (let i = 0; i < 5; i++) await hub.channel('a').publish({ data: i })
    return start
  }

  it('is told before any live event, with the id it jumps to', async () => {
    const hub = smallHub()
    const start = await evict(hub)
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, ['a'])
    const live = hub.channel('a').publish({ data: 'live' })
    await settled()
    const [gap, next] = parseEvents(transport.writes.join(''))
    expect(gap).toMatchObject({ event: 'gap', data: '{"reason":"unknown"}' })
    // The jump is to a place of its own time: what was published before it is not sent.
    expect([gap?.id, next?.id]).toEqual([await live, undefined])
    const id = await hub.channel('a').publish({ data: 'next' })
    await settled()
    expect(parseEvents(transport.writes.join('')).at(-1)).toMatchObject({ data: 'next', id })
  })

  it.each(['other-1', 'x', null])('is what the id %j means (rules 22, 25)', async (id) => {
    const hub = new Hub()
    await hub.channel('a').publish({ data: 1 })
    const { transport } = await follow(hub, ['a'], {}, id)
    expect(read(transport)).toEqual([`gap {"reason":"${id === null ? 'unreadable' : 'unknown'}"}`])
  })

  it('has a name of its own choice, or none', async () => {
    const named = smallHub({ gapEvent: 'resync' })
    const silent = smallHub({ gapEvent: false })
    const one = await follow(named, ['a'], {}, await evict(named))
    const two = await follow(silent, ['a'], {}, await evict(silent))
    await silent.channel('a').publish({ data: 'live' })
    await settled()
    expect(read(one.transport)).toEqual(['resync {"reason":"unknown"}'])
    expect(read(two.transport)).toEqual(['message live'])
  })

  it('lets a snapshot go first, and what is published meanwhile after it; the client resumes from there', async () => {
    const hub = smallHub()
    const start = await evict(hub)
    const { stream, transport } = fakeStream({}, start)
    const place = (hub as unknown as { _store: MemoryStore })._store.position
    const onGap = vi.fn(async () => {
      await settled()
      void hub.channel('a').publish({ data: 'meanwhile' })
      return [{ event: 'snapshot', data: 'all' }]
    })
    hub.channel('a').subscribe(stream, { onGap })
    await settled()
    await settled()
    expect(onGap).toHaveBeenCalledExactlyOnceWith({ lastEventId: start, reason: 'unknown' }, stream)
    expect(read(transport)).toEqual(['snapshot all', 'message meanwhile'])
    expect(transport.writes.join('')).toContain(`data: all\n\nid: ${place}\n\nid: `)
  })

  it('ends the stream when onGap fails', async () => {
    const hub = smallHub()
    const { stream, transport } = fakeStream({}, await evict(hub))
    const end = closed(stream)
    hub.subscribe(stream, ['a'], { onGap: () => Promise.reject(new Error('database')) })
    expect(await end).toMatchObject({ reason: 'error', error: { message: 'database' } })
    expect(transport.writes).toEqual([])
  })

  it('is told to a client that is overtaken while it is replayed', async () => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 30 }) })
    const start = await hub.channel('a').publish({ data: 'start' })
    for (let i = 0; i < 29; i++) await hub.channel('a').publish({ data: `${i}`.padEnd(10_000) })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'])
    await settled()
    for (let i = 0; i < 100; i++) await hub.channel('a').publish({ data: 'overtakes' })
    for (let i = 0; i < 40; i++) {
      transport.drain()
      await settled()
    }
    const events = read(transport).map((each) => each.split(' ')[0])
    expect(events).toContain('gap')
    expect(stream.closed).toBe(false)
  })
})

describe('shutdown', () => {
  it('sends what waits and when to come back, ends every stream, and takes nothing more', async () => {
    const hub = new Hub()
    const clients = await Promise.all([follow(hub, ['a']), follow(hub, ['b'])])
    void hub.channel('a').publish({ data: 'last' })
    const down = hub.shutdown({ retry: 1000 })
    for (const { transport } of clients) {
      expect(transport.writes.join('')).toMatch(/retry: (1\d{3}|2000)\n$/)
      expect(transport.isEnded).toBe(true)
      transport.lose()
    }
    await down
    expect(read(clients[0].transport)).toEqual(['message last'])
    expect(hub.size).toBe(0)
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toThrow(code('ERR_SSE_SHUT_DOWN'))
    const late = fakeStream()
    hub.subscribe(late.stream, ['a'])
    expect(late.stream.closeReason).toBe('server')
    expect(late.transport.writes.join('')).toMatch(/^retry: \d+\n$/)
  })

  it('cuts off who has not taken what waits within the grace', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub, ['a'])
    transport.isFull = true
    for (let i = 0; i < 3; i++) {
      await hub.channel('a').publish({ data: i })
      await settled()
    }
    await hub.shutdown({ grace: 20 })
    expect(transport).toMatchObject({ isEnded: false, isDestroyed: true })
    expect(stream.closeReason).toBe('server')
  })
})

describe('types', () => {
  it('are those of the channel', () => {
    const hub = new Hub()
    const prices = hub.channel<{ price: { value: number }; halt: string }>('prices')
    const publish = () => {
      prices.publish({ event: 'price', data: { value: 1 } })
      // @ts-expect-error the data of another event
      prices.publish({ event: 'halt', data: { value: 1 } })
      // @ts-expect-error the log gives the id
      prices.publish({ event: 'halt', data: 'x', id: '1' })
      // @ts-expect-error an event has data
      prices.publish({})
      prices.subscribe({} as SseStream, {
        filter: (event) => event.event === 'halt' || event.data.value > 1,
        onGap: () => [{ event: 'board', data: 'of all channels' }],
      })
    }
    expect(publish).toBeTypeOf('function')
    expectTypeOf(prices.subscribe)
      .parameter(0)
      .toExtend<SseStream<{ price: { value: number }; halt: string }>>()
  })
})
