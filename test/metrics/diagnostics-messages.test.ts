import { describe, expect, expectTypeOf, it } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'
import type { CloseReason, DiagnosticsMessages, LogEntry, SseStream } from '../../src/index.ts'
import { Hub } from '../../src/index.ts'
import { BrokerStore } from '../../src/stores/broker/broker-store.ts'
import { BROKER_DEFAULTS } from '../../src/stores/broker/options.ts'
import { SseStream as Stream } from '../../src/stream/stream.ts'
import { listen, watch } from '../support/diagnostics.ts'
import { EmptyDriver } from '../support/empty-driver.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const TRACE = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }

describe('DiagnosticsMessages', () => {
  it('has the type of the message of each channel', () => {
    type Close = DiagnosticsMessages['spillway:stream:close']
    expectTypeOf<Close['reason']>().toEqualTypeOf<CloseReason>()
    expectTypeOf<Close['stream']>().toEqualTypeOf<SseStream>()
    expectTypeOf<DiagnosticsMessages['spillway:channel:fan-out']['entries']>().toEqualTypeOf<
      readonly LogEntry[]
    >()
    // @ts-expect-error: no channel has this name.
    expectTypeOf<DiagnosticsMessages['spillway:nothing']>().toBeUnknown()
  })
})

describe('a stream', () => {
  it('is reported as begun once, when its response headers are sent', async () => {
    const begun = watch('spillway:stream:begin')
    const stream = Stream._open(() => new FakeTransport(), resolveOptions(undefined), 'new')
    expect(begun).toEqual([])

    stream.send({ data: 1 })
    await nextTurn()
    stream.send({ data: 2 })
    await nextTurn()

    expect(begun).toEqual([{ stream, duration: expect.any(Number) }])
    stream.destroy()
  })

  it('is never reported as begun if the client has disconnected before', async () => {
    const begun = watch('spillway:stream:begin')
    const stream = Stream._open(() => undefined, resolveOptions(undefined), 'new')

    stream.send({ data: 1 })
    await settled()

    expect([stream.closeReason, begun]).toEqual(['client', []])
  })

  it('reports the lag of a client that is behind when it closes', async () => {
    const closed = watch('spillway:stream:close')
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.destroy()

    expect(closed).toEqual([expect.objectContaining({ stream, lag: expect.any(Number) })])
  })
})

describe('events that a stream discards', () => {
  it('are reported when it is destroyed', async () => {
    const discarded = watch('spillway:stream:discard')
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()
    stream.send({ data: 'queued' })
    stream.comment('no event')
    stream.send({ data: 'queued' })

    stream.destroy()

    expect(discarded).toEqual([{ stream, events: 2 }])
  })

  it('include the event that overflows the queue', async () => {
    const discarded = watch('spillway:stream:discard')
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()
    stream.send({ data: 'queued' })
    stream.send({ data: 'overflows' })

    expect(stream.closeReason).toBe('overflow')
    expect(discarded).toEqual([
      { stream, events: 1 },
      { stream, events: 1 },
    ])
  })

  it('include the event that finds the queue full, if the write that makes room fails', () => {
    const discarded = watch('spillway:stream:discard')
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.write = () => {
      throw new Error('write failed')
    }

    expect([stream.send({ data: 1 }), stream.send({ data: 2 })]).toEqual([true, false])

    expect(stream).toMatchObject({ closeReason: 'error', bufferedEvents: 0 })
    expect(discarded).toEqual([{ stream, events: 1 }])
  })

  it('include those held back by a replay that is stopped', async () => {
    const discarded = watch('spillway:stream:discard')
    const { stream } = fakeStream({ replay: () => new Promise(() => {}) }, 'a')
    await nextTurn()
    stream.send({ data: 'live' })

    stream._expired()
    await settled()

    expect(discarded).toEqual([{ stream, events: 1 }])
  })

  it('include those of a hub for a stream that is closing', async () => {
    const discarded = watch('spillway:stream:discard')
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()
    stream.close()

    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: i })
    await settled()

    expect(discarded).toEqual([{ stream, events: 3 }])
  })
})

describe('events that newer ones of their keys replace', () => {
  it('are reported for a channel that conflates', async () => {
    const conflated = watch('spillway:stream:conflate')
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()

    for (let i = 0; i < 3; i++) void hub.channel('a', { conflate: true }).publish({ data: i })
    await settled()

    expect(conflated.reduce((sum, { events }) => sum + events, 0)).toBe(2)
    expect(stream.bufferedEvents).toBe(1)
  })

  it('are reported for a rate limit', async () => {
    const conflated = watch('spillway:stream:conflate')
    const { stream } = fakeStream({ rateLimit: { eventsPerSecond: 1, burst: 1, excess: 'conflate' } })

    for (let i = 0; i < 5; i++) stream.send({ data: i })
    await settled()
    stream.send({ data: 5 })

    expect(stream._connection.sentEvents).toBe(1)
    expect(conflated.reduce((sum, { events }) => sum + events, 0)).toBe(4)
  })

  it('are not reported where the policy counts them as dropped', async () => {
    const conflated = watch('spillway:stream:conflate')
    const dropped = watch('spillway:stream:overflow')
    const { stream, transport } = fakeStream({ overflow: 'conflate', maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 'fills the kernel' })
    await nextTurn()

    stream.send({ data: 1 })
    stream.send({ data: 2 })
    await nextTurn()

    expect([conflated, dropped]).toEqual([[], [{ stream, policy: 'conflate', dropped: 1 }]])
  })
})

describe('a fan-out', () => {
  it('is reported with its subscribers, and with what filters hid', async () => {
    const fanOuts = watch('spillway:channel:fan-out')
    const hub = new Hub()
    await subscribed(hub, ['a'])
    const { stream } = fakeStream()
    hub.subscribe(stream, 'a', { filter: ({ data }) => data !== 1 })
    await settled()

    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: i })
    void hub.channel('without subscribers').publish({ data: 1 })
    await settled()

    expect(fanOuts).toEqual([
      {
        ...{ hub, channel: 'a', subscribers: 2, filtered: 1, deferred: 0, duration: expect.any(Number) },
        entries: [expect.anything(), expect.anything(), expect.anything()],
      },
    ])
  })

  it('counts the events that a replay sends later, which is reported although the client has not reconnected', async () => {
    const fanOuts = watch('spillway:channel:fan-out')
    const replays = watch('spillway:stream:replay')
    const hub = new Hub()
    const { stream } = await subscribed(hub, ['a'])
    let release = () => {}
    const snapshot = () => new Promise<[]>((resolve) => (release = () => resolve([])))
    hub.subscribe(stream, 'b', { snapshot })
    await settled()

    await hub.channel('a').publish({ data: 1 })
    await settled()
    release()
    await settled()

    expect(fanOuts).toEqual([expect.objectContaining({ channel: 'a', subscribers: 1, deferred: 1 })])
    expect(replays).toEqual([expect.objectContaining({ stream, events: 1, resumed: false, complete: true })])
    expect(stream._connection.sentEvents).toBe(1)
  })
})

describe('a publish', () => {
  it('is reported with its id, in the object of its start', async () => {
    const starts = watch('spillway:publish:start')
    const ends = watch('spillway:publish:end')
    const hub = new Hub()

    const id = await hub.channel('a').publish({ data: 1 })

    expect(starts).toHaveLength(1)
    expect(ends[0]).toBe(starts[0])
    const duration = expect.any(Number)
    expect(ends).toEqual([{ hub, channel: 'a', trace: undefined, id, duration, error: undefined }])
  })

  it('is reported with the error of the store', async () => {
    const ends = watch('spillway:publish:end')
    const driver = new EmptyDriver()
    const error = new Error('The broker is lost.')
    driver.append = () => Promise.reject(error)
    const hub = new Hub({ store: brokerStore(driver) })

    await expect(hub.channel('a').publish({ data: 1 })).rejects.toBe(error)

    expect(ends).toEqual([expect.objectContaining({ id: undefined, error })])
  })

  it('gets the trace that a subscriber sets, which the fan-out reports and no client receives', async () => {
    listen('spillway:publish:start', (message) => {
      message.trace = TRACE
    })
    const fanOuts = watch('spillway:channel:fan-out')
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])

    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(fanOuts[0]?.entries.map(({ trace }) => trace)).toEqual([TRACE])
    expect(transport.all.join('')).not.toContain('0af765')
  })
})

describe('a store', () => {
  it('is reported as connecting once it begins, and then with each new state', async () => {
    const states = watch('spillway:store:state')
    const store = brokerStore(new EmptyDriver())
    expect(states).toEqual([])

    new Hub({ store })
    await store.close()

    expect(states).toEqual(['connecting', 'ready', 'closed'].map((state) => ({ store, state })))
  })
})

function brokerStore(driver: EmptyDriver): BrokerStore {
  return new BrokerStore(driver, {
    ...BROKER_DEFAULTS,
    recentEvents: 1,
    recentBytes: 1,
    publishTimeout: 1_000,
  })
}
