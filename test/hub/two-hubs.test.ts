import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { eventsOf } from '../support/hub.ts'
import { STORES } from '../support/stores.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

describe.each(STORES)('a stream on two hubs with a %s store', (_name, open) => {
  async function behindStream(options: Parameters<typeof fakeStream>[0] = {}) {
    const hubs = [new Hub({ store: open() }), new Hub({ store: open() })]
    const { stream, transport } = fakeStream(options)
    for (const hub of hubs) hub.subscribe(stream, ['p', 'q'])
    await settled()
    transport.isFull = true
    stream.send({ data: 'first' })
    await settled()
    return { hubs, stream, transport }
  }

  it('keeps the newest event of each key of each hub in a channel that conflates', async () => {
    const { hubs, transport } = await behindStream()

    for (const value of [1, 2])
      for (const [i, hub] of hubs.entries())
        for (const channel of ['p', 'q'])
          await hub
            .channel(channel, { conflate: true })
            .publish({ key: 'k', data: `${channel} of hub ${i}: ${value}` })
    await nextTurn()
    transport.drain()

    const newest = ['p of hub 0: 2', 'q of hub 0: 2', 'p of hub 1: 2', 'q of hub 1: 2']
    expect(eventsOf(transport)).toEqual(['message first', ...newest.map((each) => `message ${each}`)])
  })

  it('receives what a filter of the other hub publishes while it catches up', async () => {
    const hub = new Hub({ store: open() })
    const other = new Hub()
    const filter = () => {
      void hub.channel('p').publish({ data: 'of the filter' })
      return true
    }
    other.subscribe(fakeStream().stream, 'p', { filter })
    await settled()
    const start = await hub.channel('p').publish({ data: 'start' })
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'p')
    void other.channel('p').publish({ data: 'delivered when the client goes live' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message of the filter'])
  })

  it('receives a pending event before a snapshot for which a filter of the other hub subscribes it', async () => {
    const hub = new Hub({ store: open() })
    const other = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'p')
    const filter = () => {
      hub.subscribe(stream, 'q', { snapshot: () => [{ event: 'snapshot', data: 'q' }] })
      return true
    }
    other.subscribe(fakeStream().stream, 'p', { filter })
    await settled()

    void other.channel('p').publish({ data: 1 })
    await hub.channel('p').publish({ data: 'pending' })
    await settled()

    expect(eventsOf(transport).sort()).toEqual(['message pending', 'snapshot q'])
  })

  it('keeps the newest event of each hub if the stream itself conflates', async () => {
    const { hubs, transport } = await behindStream({ overflow: 'conflate', maxBufferedEvents: 3 })

    for (const value of [1, 2, 3])
      for (const [i, hub] of hubs.entries())
        await hub.channel('p').publish({ event: 'price', data: `${i} ${value}` })
    await nextTurn()
    transport.drain()

    expect(eventsOf(transport)).toEqual(['message first', 'price 0 3', 'price 1 3'])
  })
})
