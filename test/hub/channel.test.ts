import { describe, expect, expectTypeOf, it } from 'vitest'
import type { Channel } from '../../src/hub/channel.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { parseEvents } from '../support/parse.ts'
import { fakeStream, settled } from '../support/streams.ts'

interface Prices {
  price: number
}

const dataOf = ({ writes }: { writes: string[] }) => parseEvents(writes.join('')).map(({ data }) => data)

describe('hub.channel()', () => {
  it('returns an object with name, publish and subscribe', () => {
    expect(Object.keys(new Hub().channel('news'))).toEqual(['name', 'publish', 'subscribe'])
  })

  it('returns functions that work without the object', async () => {
    const { publish, subscribe } = new Hub().channel('news')
    const { stream, transport } = fakeStream()
    subscribe(stream)
    await settled()
    await publish({ data: 'hello' })
    await settled()
    expect(dataOf(transport)).toEqual(['hello'])
  })

  it('has the types of its events', () => {
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

describe('hub.subscribe()', () => {
  it.each([['news'], [['news']]])('accepts the channels %j', async (channels) => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const unsubscribe = hub.subscribe(stream, channels)
    await settled()
    await hub.channel('news').publish({ data: 'first' })
    await settled()
    unsubscribe()
    await hub.channel('news').publish({ data: 'second' })
    await settled()
    expect(dataOf(transport)).toEqual(['first'])
  })

  it('has the types of a name and of a list', () => {
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, 'news')
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, ['news', 'sport'])
    // @ts-expect-error: a name is a string.
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, 5)
  })
})

describe('new Hub()', () => {
  it.each([
    ['log', 'Did you mean store?'],
    ['maxEvents', 'It is an option of the store, for example of memoryStore().'],
    ['maxBytes', 'It is an option of the store, for example of memoryStore().'],
    ['maxAge', 'It is an option of the store, for example of memoryStore().'],
    ['gapEvents', 'Did you mean gapEvent?'],
  ])('rejects the option %s and says what is meant', (name, hint) => {
    expect(() => new Hub({ [name]: 100 } as never)).toThrow(
      `Unknown option "${name}". ${hint} Known options: store, `,
    )
  })

  it('rejects a store in place of options', () => {
    const store = memoryStore()
    expect(() => new Hub(store as never)).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
    expect(() => new Hub(store as never)).toThrow('new Hub({ store })')
    // The store is still free.
    expect(() => new Hub({ store })).not.toThrow()
  })

  it.each(['graceMs', 'gracePeriod'])('suggests grace for the option %s of shutdown()', async (name) => {
    await expect(new Hub().shutdown({ [name]: 1 })).rejects.toThrow('Did you mean grace?')
  })
})
