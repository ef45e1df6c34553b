import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { deferred } from '../support/deferred.ts'
import { eventsOf, GAP, messages, publishNumbers } from '../support/hub.ts'
import { fakeStream, settled } from '../support/streams.ts'

const isEven = ({ data }: { data?: unknown }) => Number(data) % 2 === 0

describe('a filter', () => {
  it('selects replayed events as well as live ones (rule 26)', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 0 })
    for (let i = 1; i < 5; i++) await hub.channel('a').publish({ data: i })
    const { stream, transport } = fakeStream({}, start)

    hub.channel('a').subscribe(stream, { filter: isEven })
    await settled()
    for (let i = 5; i < 9; i++) await hub.channel('a').publish({ data: i })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(2, 4, 6, 8))
  })

  it('applies to its own channels when the stream is subscribed to another one without a filter', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.channel('a').subscribe(stream, { filter: isEven })
    hub.channel('b').subscribe(stream)
    await settled()

    for (let i = 0; i < 4; i++)
      for (const channel of ['a', 'b']) await hub.channel(channel).publish({ data: i })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(0, 0, 1, 2, 2, 3))
  })

  it('gets the event with its id, and the name of the channel', async () => {
    const hub = new Hub()
    const filter = vi.fn(() => true)
    hub.subscribe(fakeStream().stream, ['a'], { filter })
    await settled()

    const id = await hub.channel('a').publish({ event: 'tick', data: { n: 1 } })
    await settled()

    expect(filter).toHaveBeenCalledWith({ event: 'tick', data: { n: 1 }, id }, 'a')
  })

  it('applies to the events that were published before the stream unsubscribed in the same turn', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const unsubscribe = hub.subscribe(stream, ['a'], { filter: ({ data }) => data !== 'secret' })
    hub.subscribe(stream, ['b'])
    await settled()

    for (const data of ['secret', 'seen']) void hub.channel('a').publish({ data })
    unsubscribe()
    await settled()

    expect(eventsOf(transport)).toEqual(['message seen'])
  })

  it('is not called for the rest of a page when the stream closes', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 5, { size: 20_000 })
    const filter = vi.fn(() => true)
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'], { filter })
    await settled()

    transport.lose()
    await settled()

    expect(filter).toHaveBeenCalledOnce()
  })

  it('is not called for a stream that is closed', async () => {
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
})

describe('a filter that calls the hub', () => {
  it('publishes an event that every stream gets after the filtered one', async () => {
    const hub = new Hub()
    const [filtered, other] = [fakeStream(), fakeStream()]
    hub.subscribe(filtered.stream, ['a'], {
      filter: ({ data }) => {
        if (data === '1') void hub.channel('a').publish({ data: '2' })
        return true
      },
    })
    hub.subscribe(other.stream, ['a'])
    await settled()

    await hub.channel('a').publish({ data: '1' })
    await settled()

    expect(eventsOf(filtered.transport)).toEqual(messages(1, 2))
    expect(eventsOf(other.transport)).toEqual(messages(1, 2))
  })

  it('subscribes another stream, which still gets the filtered event', async () => {
    const hub = new Hub()
    const [filtered, other] = [fakeStream(), fakeStream()]
    hub.subscribe(filtered.stream, ['a'], {
      filter: ({ data }) => {
        if (data === '1') hub.subscribe(other.stream, ['late'])
        return true
      },
    })
    hub.subscribe(other.stream, ['a'])
    await settled()

    await hub.channel('a').publish({ data: '1' })
    await settled()

    expect(eventsOf(other.transport)).toEqual(messages(1))
  })

  it('subscribes its own stream, which gets the events that it publishes next', async () => {
    const { hub, stream, transport } = await calling(({ hub, stream }) => {
      hub.subscribe(stream, 'b')
      void hub.channel('b').publish({ data: 'next' })
    })

    expect(eventsOf(transport)).toEqual(messages('call', 'next'))
    expect(stream.closed).toBe(false)
    expect(hub.size).toBe(1)
  })

  it('removes a subscription that it has just added', async () => {
    const { hub, transport } = await calling(({ hub, stream }) => hub.subscribe(stream, 'b')())

    await hub.channel('b').publish({ data: 'unwanted' })
    await hub.channel('a').publish({ data: 'wanted' })
    await settled()

    expect(eventsOf(transport)).toEqual(messages('call', 'wanted'))
  })

  it('moves its own stream to another channel', async () => {
    const { hub, transport } = await calling(({ hub, stream, unsubscribe }) => {
      hub.subscribe(stream, 'b')
      unsubscribe()
    })

    await hub.channel('a').publish({ data: 'unwanted' })
    await hub.channel('b').publish({ data: 'wanted' })
    await settled()

    expect(hub.size).toBe(1)
    expect(eventsOf(transport)).toEqual(messages('call', 'wanted'))
  })

  it('subscribes its own stream again while that unsubscribes', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const unsubscribe = hub.subscribe(stream, 'a', {
      filter: () => {
        hub.subscribe(stream, 'a')
        return true
      },
    })
    await settled()

    void hub.channel('a').publish({ data: 1 })
    unsubscribe()
    await hub.channel('a').publish({ data: 2 })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(1, 2))
    expect(hub.size).toBe(1)
  })

  it('adds a channel to a stream that is about to go live', async () => {
    const hub = new Hub()
    const start = await hub.channel('a').publish({ data: 'start' })
    await hub.channel('b').publish({ data: 'missed' })
    const [filtered, resumed] = [fakeStream(), fakeStream({}, start)]
    const snapshot = deferred<undefined>()
    hub.subscribe(filtered.stream, 'a', {
      filter: () => {
        hub.subscribe(resumed.stream, 'b')
        return true
      },
    })
    hub.subscribe(resumed.stream, 'a', { onGap: () => snapshot.promise })

    void hub.channel('a').publish({ data: 1 })
    await settled()
    await hub.channel('a').publish({ data: 2 })
    await settled()
    snapshot.resolve(undefined)
    await settled()

    expect(eventsOf(resumed.transport)).toEqual(['message 1', GAP, 'message 2'])
  })
})

/** Subscribes a stream to `a` with a filter that makes a call at the event `call`, and publishes this event. */
async function calling(
  call: (context: ReturnType<typeof fakeStream> & { hub: Hub; unsubscribe: () => void }) => void,
) {
  const context = { ...fakeStream(), hub: new Hub(), unsubscribe: () => {} }
  context.unsubscribe = context.hub.subscribe(context.stream, 'a', {
    filter: ({ data }) => {
      if (data === 'call') call(context)
      return true
    },
  })
  await settled()
  await context.hub.channel('a').publish({ data: 'call' })
  await settled()
  return context
}
