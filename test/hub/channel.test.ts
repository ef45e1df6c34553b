import { describe, expect, expectTypeOf, it, vi } from 'vitest'
import { parseEvents } from '../../src/formats/parse-events.ts'
import type { Channel } from '../../src/hub/channel.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { eventsOf, sseError, subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

interface Prices {
  price: number
}

describe('Hub.channel', () => {
  it('returns an object with name, size, publish and subscribe', () => {
    expect(Object.keys(new Hub().channel('news'))).toEqual(['name', 'size', 'publish', 'subscribe'])
  })

  it('returns functions that work without the object', async () => {
    const { publish, subscribe } = new Hub().channel('news')
    const { stream, transport } = fakeStream()

    subscribe(stream)
    await settled()
    await publish({ data: 'hello' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message hello'])
  })

  it('returns functions with the types of the events', () => {
    const prices = new Hub().channel<Prices>('prices')
    expectTypeOf(prices).toEqualTypeOf<Channel<Prices>>()
    expectTypeOf(prices.publish).toBeCallableWith({ event: 'price', data: 1 })
    // @ts-expect-error: a price is a number.
    expectTypeOf(prices.publish).toBeCallableWith({ event: 'price', data: '1' })
    // @ts-expect-error: the name of an event is `event`.
    expectTypeOf(prices.publish).toBeCallableWith({ event: 'price', data: 1, type: 'price' })
    expectTypeOf(prices.subscribe).toBeCallableWith({} as SseStream<Prices>)
  })
})

describe('Channel.publish', () => {
  it('delivers the event to every stream of the channel, with the id that it resolves with', async () => {
    const hub = new Hub()
    const [one, two, other] = await Promise.all(['a', 'a', 'b'].map((channel) => subscribed(hub, [channel])))

    const id = await hub.channel('a').publish({ event: 'tick', data: { n: 1 } })
    await settled()

    expect(one?.transport.writes).toEqual([`id: ${id}\nevent: tick\ndata: {"n":1}\n\n`])
    expect(two?.transport.chunks[0]).toBe(one?.transport.chunks[0])
    expect(other?.transport.writes).toEqual([])
  })

  it('encodes an event once, and joins the events of a turn once, for all streams', async () => {
    const hub = new Hub({ serialize: vi.fn(JSON.stringify) })
    const streams = await Promise.all(Array.from({ length: 5 }, () => subscribed(hub, ['a'])))

    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: { i } })
    await settled()

    expect(new Set(streams.map(({ transport }) => transport.chunks[0])).size).toBe(1)
    expect(streams[0]?.transport.chunks).toHaveLength(1)
    expect(eventsOf(streams[4]?.transport ?? { writes: [] })).toHaveLength(3)
  })

  it('uses the serializer of the hub', async () => {
    const hub = new Hub({ serialize: (data) => `<${data}>` })
    const { transport } = await subscribed(hub, ['a'])

    await hub.channel('a').publish({ data: 7 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message <7>'])
  })

  it('does not change the event object', async () => {
    const event = { data: 1 }

    await new Hub().channel('a').publish(event)

    expect(event).toEqual({ data: 1 })
  })

  it.each<[string, unknown, string]>([
    ['with an id', { id: '1', data: 1 }, 'ERR_SSE_ID'],
    ['without data', { event: 'tick' }, 'ERR_SSE_DATA'],
    ['with data that cannot be serialized', { data: 1n }, 'ERR_SSE_DATA'],
    ['with a promise as data', { data: Promise.resolve(1) }, 'ERR_SSE_DATA'],
    ['with a line end in its name', { event: 'a\nb', data: 1 }, 'ERR_SSE_EVENT_NAME'],
    ['that is a string', 'text', 'ERR_SSE_EVENT'],
    ['with a key that is not a string', { data: 1, key: Symbol('key') }, 'ERR_SSE_EVENT'],
  ])('rejects an event %s and delivers nothing', async (_name, event, code) => {
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])

    await expect(hub.channel('a').publish(event as never)).rejects.toThrow(sseError(code))

    await settled()
    expect(transport.writes).toEqual([])
  })

  it.each<[string, unknown]>([
    ['a misspelled name', { idempotencykey: 'order-7' }],
    ['the name of another function', { conflate: true }],
    ['a Map', new Map([['idempotencyKey', 'order-7']])],
    ['a number', 5],
    ['null', null],
    ['a boolean', true],
  ])('rejects options that are %s and delivers nothing', async (_name, options) => {
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])

    await expect(hub.channel('a').publish({ data: 1 }, options as never)).rejects.toThrow(
      sseError('ERR_SSE_OPTION'),
    )

    await settled()
    expect(transport.writes).toEqual([])
  })

  it('delivers two events with one idempotency key once', async () => {
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])

    const first = await hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'order-7' })
    const again = await hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'order-7' })
    await settled()

    expect(again).toBe(first)
    expect(eventsOf(transport)).toEqual(['message 1'])
  })

  it('continues when a client overflows, has disconnected, or publishes while it is closed (rule 32)', async () => {
    const hub = new Hub()
    const [slow, leaving, last] = await Promise.all(
      Array.from({ length: 3 }, () => subscribed(hub, ['a'], { maxBufferedEvents: 1 })),
    )
    if (!slow || !leaving || !last) throw new Error('unreachable')
    slow.transport.isFull = true

    for (let i = 0; i < 5; i++) {
      if (i === 2) leaving.transport.lose()
      if (i === 3) last.stream.once('close', () => void hub.channel('a').publish({ data: 'more' }))
      await hub.channel('a').publish({ data: i })
      await settled()
    }

    expect(slow.stream.closeReason).toBe('overflow')
    expect(eventsOf(last.transport)).toEqual([0, 1, 2, 3, 4].map((i) => `message ${i}`))
    await settled()
    expect(hub.size).toBe(1)
  })

  it('accepts the events of the type of the channel only', () => {
    const hub = new Hub()
    const prices = hub.channel<{ price: { value: number }; halt: string }>('prices')

    const publish = () => {
      prices.publish({ event: 'price', data: { value: 1 } })
      // @ts-expect-error the data of another event
      prices.publish({ event: 'halt', data: { value: 1 } })
      // @ts-expect-error the store assigns the id
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

  it('accepts a stream that has the events of several channels, and refuses one that lacks some', () => {
    const prices = new Hub().channel<Prices>('prices')
    const news = new Hub().channel<{ headline: string }>('news')

    const subscribe = (stream: SseStream<Prices & { headline: string }>) => {
      prices.subscribe(stream, { filter: ({ data }) => data > 1 })
      news.subscribe(stream)
      // @ts-expect-error: the stream has no prices.
      prices.subscribe({} as SseStream<{ headline: string }>)
      // @ts-expect-error: the price of the stream is a string.
      prices.subscribe({} as SseStream<{ price: string }>)
    }

    expect(subscribe).toBeTypeOf('function')
  })

  it('does not infer the types of its events from its source', () => {
    const hub = new Hub()
    const create = () => {
      const sources = [
        async () => parseEvents(await fetch('http://127.0.0.1')),
        () => [{ event: 'load', data: 1 }],
        async function* () {
          yield { event: 'load', data: null }
        },
      ]
      for (const source of sources) expectTypeOf(hub.channel('a', { source })).toEqualTypeOf<Channel>()
      expectTypeOf(
        hub.channel('a', {
          source: async (signal) => parseEvents(await fetch('http://127.0.0.1', { signal })),
        }),
      ).toEqualTypeOf<Channel>()
      expectTypeOf(hub.channel('a', { source: () => [{ event: 'load', data: 1 }] })).toEqualTypeOf<Channel>()
      const prices: Channel<Prices> = hub.channel('a', { source: () => [{ event: 'price', data: 1 }] })
      // @ts-expect-error: a price is a number.
      hub.channel<Prices>('a', { source: () => [{ event: 'price', data: '1' }] })
      return prices
    }

    expect(create).toBeTypeOf('function')
  })

  it('accepts a snapshot that returns nothing', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const greet = (to: SseStream) => {
      to.send({ data: 'hello' })
    }

    hub.channel('a').subscribe(stream, { snapshot: greet })
    await settled()

    expect(transport.writes.join('')).toContain('data: hello\n\n')
  })
})

describe('a channel that conflates', () => {
  it('keeps events that were published without conflation', async () => {
    const hub = new Hub()
    const start = await hub.channel('p', { conflate: true }).publish({ data: 'conflated' })
    await hub.channel('p').publish({ data: '1' })
    await hub.channel('p').publish({ data: '2' })

    const { transport } = await subscribed(hub, ['p'], {}, start)

    expect(eventsOf(transport)).toEqual(['message 1', 'message 2'])
  })

  it('keeps a key apart from the same key of another channel', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['p', 'q'])
    const publish = (event: (channel: string) => { event?: string; key?: string; data: string }) =>
      Promise.all(['p', 'q'].map((name) => hub.channel(name, { conflate: true }).publish(event(name))))
    transport.isFull = true
    stream.send({ data: 'first' })
    await settled()

    await publish((channel) => ({ key: 'k', data: channel }))
    await publish((channel) => ({ event: 'named', data: channel }))
    await publish((channel) => ({ event: 'named', data: `${channel}2` }))
    await nextTurn()
    transport.drain()

    expect(eventsOf(transport)).toEqual(['message first', 'message p', 'message q', 'named p2', 'named q2'])
  })
})

describe('a serializer', () => {
  it('publishes a separate event before the event that it serializes', async () => {
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])
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
    expect(eventsOf(transport)).toEqual(['message nested', 'message "outer"'])
  })

  it('subscribes a stream that then gets the event that it serializes', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['b'])
    const data = {
      toJSON() {
        hub.subscribe(stream, ['a'])
        return 1
      },
    }

    await hub.channel('a').publish({ data })
    await hub.channel('a').publish({ data: 2 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1', 'message 2'])
  })

  it('sends and publishes events that precede the event that it serializes', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    const toJSON = vi.fn(() => {
      stream.send({ data: 'own' })
      void hub.channel('a').publish({ data: 'nested' })
      return 'outer'
    })

    void hub.channel('a').publish({ data: 'first' })
    void hub.channel('a').publish({ data: { toJSON } })
    await settled()

    expect(eventsOf(transport)).toEqual(['message first', 'message own', 'message nested', 'message "outer"'])
  })
})
