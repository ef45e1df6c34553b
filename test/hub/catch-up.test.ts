import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { watch } from '../support/diagnostics.ts'
import { drainAll, eventsOf, messages, publishNumbers, subscribed } from '../support/hub.ts'
import { HubClient } from '../support/hub-client.ts'
import { parseEvents } from '../support/parse.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

describe('a client that resumes', () => {
  it('stays connected while it reads an event larger than its queue and others are published', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 1, { size: 300_000 })
    const { stream, transport } = fakeStream({ maxBufferedBytes: 100_000 }, start)
    transport.isFull = true
    hub.subscribe(stream, 'a')
    await settled()
    await hub.channel('a').publish({ data: 1 })
    await settled()
    expect(stream.closed).toBe(false)
    await drainAll(transport)
    expect(eventsOf(transport)).toEqual(messages(0, 1))
  })

  it('gets the missed events of several channels in the order of the log', async () => {
    const hub = new Hub()
    const client = new HubClient(hub, ['a', 'b'])
    client.connect()
    await settled()
    await hub.channel('a').publish({ data: 1 })
    await settled()
    client.cut()

    for (let i = 2; i < 8; i++) await hub.channel(i % 2 ? 'a' : 'b').publish({ data: i })
    await hub.channel('c').publish({ data: 'of another channel' })
    client.connect()
    await settled()
    client.cut()

    expect(client.data).toEqual(['1', '2', '3', '4', '5', '6', '7'])
  })

  it('gets the missed events in order when its channels are subscribed by several calls of one turn', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 1; i < 5; i++) await hub.channel(i % 2 ? 'a' : 'b').publish({ data: i })
    const { stream, transport } = fakeStream({}, start)

    hub.channel('b').subscribe(stream)
    hub.channel('a').subscribe(stream)
    await settled()

    expect(eventsOf(transport)).toEqual(messages(1, 2, 3, 4))
  })

  it('gets each missed event once when it unsubscribes and subscribes again', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3)
    const { stream, transport, unsubscribe } = await subscribed(hub, ['a'], {}, start)

    unsubscribe()
    hub.subscribe(stream, ['a'])
    await settled()
    hub.subscribe(stream, ['a'])
    await settled()
    await hub.channel('a').publish({ data: 'live' })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(0, 1, 2, 'live'))
  })

  it('gets no gap when it is subscribed to a channel a second time', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 2)
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)

    hub.subscribe(stream, ['a'])
    await settled()

    expect(eventsOf(transport)).toEqual(messages(0, 1))
  })

  it('gets no event twice or late, in whichever tick another channel is added', async () => {
    for (let ticks = 0; ticks < 12; ticks++) {
      const hub = new Hub()
      const start = await publishNumbers(hub, 3)
      await hub.channel('b').publish({ data: 'missed' })
      const { stream, transport } = fakeStream({}, start)

      hub.subscribe(stream, ['a'])
      for (let tick = 0; tick < ticks; tick++) await null
      hub.subscribe(stream, ['b'])
      for (let i = 0; i < 6; i++) {
        void hub.channel('a').publish({ data: `live ${i}` })
        await null
      }
      await settled()

      const events = eventsOf(transport)
      const positions = parseEvents(transport.writes.join('')).map(({ id = 'x-0' }) =>
        Number(id.split('-')[1]),
      )
      expect({ ticks, events }).toEqual({ ticks, events: [...new Set(events)] })
      expect({ ticks, positions }).toEqual({ ticks, positions: positions.toSorted((a, b) => a - b) })
    }
  })
})

describe('a replay', () => {
  it('of hidden events lets the event loop turn after each page', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 2_000)
    const filter = vi.fn(() => false)
    hub.subscribe(fakeStream({}, start).stream, 'a', { filter })

    await nextTurn()
    expect(filter).toHaveBeenCalledTimes(500)
    await settled()

    expect(filter).toHaveBeenCalledTimes(2_000)
  })

  it('waits for the client and stays below the bound of the queue', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 300, { size: 1000 })
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

    expect(eventsOf(transport)).toHaveLength(301)
    expect(eventsOf(transport).at(-1)).toBe('message live')
  })

  it('stays below the bound of the queue when a rate limit slows it', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 100)
    const options = { rateLimit: { eventsPerSecond: 10 }, maxBufferedEvents: 40 }

    const { stream } = await subscribed(hub, ['a'], options, start)

    expect(stream.closeReason).toBeUndefined()
  })

  it('sends an event that is larger than the bound of the queue', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3)
    await hub.channel('a').publish({ data: 'x'.repeat(5000) })
    const { stream, transport } = fakeStream({ maxBufferedBytes: 2000 }, start)
    transport.isFull = true

    hub.subscribe(stream, ['a'])
    await settled()

    expect(stream.closeReason).toBeUndefined()
    await drainAll(transport)
    expect(eventsOf(transport)).toHaveLength(4)
  })

  it('reads nothing more from the store when the stream is closed', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3000)
    const filter = vi.fn(() => true)
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'], { filter })
    await settled()
    const readBefore = filter.mock.calls.length

    stream.send({ data: 1 })
    stream.close()
    await settled()

    expect(filter.mock.calls.length - readBefore).toBeLessThan(5)
  })

  it.each([
    ['complete', true, 3],
    ['cut off by the client', false, 1],
  ])('is reported on its diagnostics channel when it is %s', async (_name, complete, events) => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 4, { size: 20_000 })
    const replays = watch('spillway:stream:replay')
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = !complete
    const filter = ({ data }: { data?: unknown }) => !complete || !String(data).startsWith('2')

    hub.subscribe(stream, ['a'], { filter })
    await settled()
    if (!complete) transport.lose()
    await settled()
    await hub.channel('a').publish({ data: 'live' })

    const duration = expect.any(Number)
    const message = { stream, events, duration, resumed: true, complete, error: undefined }
    expect(replays).toEqual([message])
  })

  it('is not reported on its diagnostics channel for a new client', async () => {
    const hub = new Hub()
    const replays = watch('spillway:stream:replay')
    const { stream } = await subscribed(hub, ['a'])

    hub.subscribe(stream, ['b'])
    await settled()

    expect(replays).toEqual([])
  })
})
