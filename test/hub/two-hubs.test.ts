import { describe, expect, it } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
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

  /** Opens two hubs. A filter of the other one publishes an event on the first one. */
  async function openHubs() {
    const hub = new Hub({ store: open() })
    const other = new Hub()
    const filter = () => {
      void hub.channel('p').publish({ data: 'of the filter' })
      return true
    }
    other.subscribe(fakeStream().stream, 'p', { filter })
    await settled()
    return { hub, other }
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
    const { hub, other } = await openHubs()
    const start = await hub.channel('p').publish({ data: 'start' })
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'p')
    void other.channel('p').publish({ data: 'delivered when the client goes live' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message of the filter'])
  })

  it('is sent no position before an event that a filter of the other hub publishes at the end of the turn', async () => {
    const { hub, other } = await openHubs()
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, 'p')
    void other.channel('p').publish({ data: 'delivered at the end of the turn' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message of the filter'])
    // A position may precede the event only if it is an earlier one.
    const ids = transport.all.join('').match(/^id: .*/gm) ?? []
    expect(ids.length).toBeGreaterThan(0)
    expect(ids).toEqual([...new Set(ids)])
  })

  it('receives the snapshots of both at its own pace, none above its limit', async () => {
    const hubs = [new Hub({ store: open() }), new Hub({ store: open() })]
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 'first' })
    const snapshot = () => ['a', 'b', 'c'].map((data) => ({ data }))
    for (const hub of hubs) hub.subscribe(stream, 'p', { snapshot })
    const all = stream.sendAll(snapshot())

    for (let drains = 0; drains < 20; drains++) {
      transport.drain({ isFull: true })
      await settled()
    }

    expect(stream.closeReason).toBeUndefined()
    expect(await all).toBe(true)
    expect(eventsOf(transport).sort().join()).toBe(
      'message a,message a,message a,message b,message b,message b,message c,message c,message c,message first',
    )
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

  it('receives an event that filters of both hubs publish while it subscribes to a further channel', async () => {
    const hub = new Hub({ store: open() })
    const other = new Hub()
    const { stream, transport } = fakeStream()
    const snapshot = () => [{ event: 'snapshot', data: 'q' }]
    const filterBy = (onFirst: () => void) => (event: SseEvent) => {
      if (event.data === 'first') onFirst()
      return true
    }
    hub.subscribe(stream, 'p', { filter: filterBy(() => void hub.subscribe(stream, 'q', { snapshot })) })
    const publishOnOther = () => void other.channel('p').publish({ data: 'first' })
    hub.subscribe(fakeStream().stream, 'p', { filter: filterBy(publishOnOther) })
    const publishBack = () => void hub.channel('p').publish({ data: 'second' })
    other.subscribe(fakeStream().stream, 'p', { filter: filterBy(publishBack) })
    await settled()

    await hub.channel('p').publish({ data: 'first' })
    await settled()
    await hub.channel('p').publish({ data: 'third' })
    await settled()

    const messages = eventsOf(transport).filter((event) => event.startsWith('message'))
    expect(messages).toEqual(['message first', 'message second', 'message third'])
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
