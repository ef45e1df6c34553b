import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { deferred } from '../support/deferred.ts'
import { drainAll, eventsOf, GAP, publishNumbers, subscribed } from '../support/hub.ts'
import { SlowStore } from '../support/slow-store.ts'
import { fakeStream, settled } from '../support/streams.ts'

// Channels that a resumed client is subscribed to after its missed events were sent.
describe('a channel that is added later', () => {
  it('sends its live events, after a gap only if the client missed some of its events', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    await hub.channel('b').publish({ data: 'missed' })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)

    hub.subscribe(stream, ['quiet'])
    void hub.channel('a').publish({ data: 'a' })
    await settled()
    hub.subscribe(stream, ['b'])
    void hub.channel('b').publish({ data: 'b' })
    void hub.channel('a').publish({ data: 'a2' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message a', GAP, 'message b', 'message a2'])
  })

  it('sends no gap for an event that is published in the tick in which it is added', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)

    hub.subscribe(stream, ['b'])
    void hub.channel('b').publish({ data: 'live' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message live'])
  })

  it('sends no gap when a replay is under way that has not reached its events', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 5, { size: 20_000 })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'])
    await settled()

    hub.subscribe(stream, ['b'])
    await hub.channel('b').publish({ data: 'b' })
    await drainAll(transport)

    expect(eventsOf(transport)).toEqual([0, 1, 2, 3, 4, 'b'].map((data) => `message ${data}`))
  })

  it.each([1, 2, 3, 4, 5, 6])(
    'sends a gap if another added channel with evicted events is left after %d ticks',
    async (ticks) => {
      const hub = new Hub({ store: new MemoryStore({ maxEvents: 4 }) })
      const start = await hub.channel('a').publish({ data: 0 })
      await hub.channel('a').publish({ data: 'missed' })
      const { stream, transport } = await subscribed(hub, ['c'], {}, start)

      const unsubscribe = hub.subscribe(stream, 'b')
      void hub.channel('b').publish({ data: 'evicted' })
      for (let i = 0; i < 4; i++) void hub.channel('a').publish({ data: i })
      hub.subscribe(stream, 'a')
      for (let i = 0; i < ticks; i++) await undefined
      unsubscribe()
      await settled()

      expect(eventsOf(transport)).toContain(GAP)
    },
  )

  it('sends no gap when it is left and added again in one turn', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 2)
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, ['b'])
    const unsubscribe = hub.subscribe(stream, ['a'])
    await settled()

    unsubscribe()
    await settled()
    hub.subscribe(stream, ['a'])
    await settled()

    expect(eventsOf(transport)).toEqual(['message 0', 'message 1'])
  })

  it('sends a gap when its missed events were evicted', async () => {
    const hub = new Hub({ store: new MemoryStore({ perChannel: { maxEvents: 1 } }) })
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 0; i < 3; i++) await hub.channel('b').publish({ data: i })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)

    hub.subscribe(stream, ['b'])
    await settled()

    expect(eventsOf(transport)).toEqual([GAP])
  })

  it('sends a gap when the store evicts events of another channel that was left', async () => {
    const hub = new Hub({ store: new MemoryStore({ perChannel: { maxEvents: 1 } }) })
    const start = await hub.channel('c').publish({ data: 'c1' })
    await hub.channel('a').publish({ data: 'missed' })
    const { stream, transport } = await subscribed(hub, ['c'], {}, start)

    hub.subscribe(stream, ['quiet'])
    const unsubscribe = hub.subscribe(stream, ['b'])
    hub.subscribe(stream, ['a'])
    unsubscribe()
    void hub.channel('b').publish({ data: 1 })
    void hub.channel('b').publish({ data: 2 })
    await settled()

    expect(eventsOf(transport)).toEqual([GAP])
  })

  it('sends a gap for its unsent events when it is left and added a second time', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    await hub.channel('b').publish({ data: 'missed' })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)
    const unsubscribe = hub.subscribe(stream, ['c'])
    await settled()
    unsubscribe()
    const unsubscribeAgain = hub.subscribe(stream, ['c'])
    await settled()
    const snapshot = deferred<undefined>()

    hub.subscribe(stream, ['b'], { onGap: () => snapshot.promise })
    await settled()
    await hub.channel('c').publish({ data: 'unsent' })
    unsubscribeAgain()
    snapshot.resolve(undefined)
    await settled()
    expect(eventsOf(transport)).toEqual([GAP])
    hub.subscribe(stream, ['c'])
    await settled()

    expect(eventsOf(transport)).toEqual([GAP, GAP])
  })

  it('sends a gap for its events when 1 000 channels were left after it, and none after fewer', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)
    const names = Array.from({ length: 1_000 }, (_, i) => `channel ${i}`)
    const unsubscribes = [hub.subscribe(stream, 'first'), hub.subscribe(stream, names)]
    await settled()
    for (const name of ['first', 'channel 0']) await hub.channel(name).publish({ data: name })
    await settled()

    for (const unsubscribe of unsubscribes) unsubscribe()
    hub.subscribe(stream, 'channel 0')
    await settled()
    expect(eventsOf(transport)).toEqual(['message first', 'message channel 0'])
    hub.subscribe(stream, 'first')
    await settled()

    expect(eventsOf(transport)).toEqual(['message first', 'message channel 0', GAP])
  })

  it('sends its snapshot although the same function is loading that of a channel before', async () => {
    const hub = new Hub()
    const rooms: string[] = []
    const loading = deferred<void>()
    const snapshot = async () => {
      const event = { data: rooms.join() }
      await loading.promise
      return [event]
    }
    const { stream, transport } = await subscribed(hub, ['first'])
    for (const room of ['a', 'b']) {
      rooms.push(room)
      hub.subscribe(stream, room, { snapshot })
      await settled()
    }
    loading.resolve()
    await settled()
    expect(eventsOf(transport)).toEqual(['message a', 'message a,b'])
  })

  it('sends a gap when its missed event is on the last of several pages', async () => {
    const hub = new Hub({ store: new SlowStore(new MemoryStore(), 1, 2) })
    const start = await publishNumbers(hub, 2)
    await hub.channel('b').publish({ data: 'missed' })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)
    for (let i = 0; i < 9; i++) await settled()

    hub.subscribe(stream, ['b'])
    for (let i = 0; i < 10; i++) await settled()

    expect(eventsOf(transport)).toEqual(['message 0', 'message 1', GAP])
  })
})
