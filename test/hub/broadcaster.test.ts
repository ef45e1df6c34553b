import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { FakeTransport } from '../support/fake-transport.ts'
import { subscribed } from '../support/hub.ts'
import { parseEvents } from '../support/parse.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const dataOf = ({ writes }: FakeTransport) => parseEvents(writes.join('')).map(({ data }) => data)

const follow = (hub: Hub, ...args: Parameters<typeof fakeStream>) => subscribed(hub, ['a', 'b'], ...args)

describe('the events published in a turn', () => {
  it('are sent in one write with the events that the stream was sent itself, in the order of the calls', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    stream.send({ data: 'own 1' })
    void hub.channel('a').publish({ data: 'a' })
    void hub.channel('b').publish({ data: 'b' })
    stream.send({ data: 'own 2' })
    void hub.channel('a').publish({ data: 'a 2' })
    await nextTurn()
    expect(dataOf(transport)).toEqual(['own 1', 'a', 'b', 'own 2', 'a 2'])
    expect(transport.writes).toHaveLength(1)
  })

  it('keep their order across the channels of a hub', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub)
    for (let i = 0; i < 6; i++) void hub.channel(i % 2 ? 'a' : 'b').publish({ data: i })
    await settled()
    expect(dataOf(transport)).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  it.each<[string, (stream: SseStream) => unknown, string[]]>([
    ['a comment', (stream) => stream.comment('note'), ['a']],
    ['close', (stream) => stream.close({ retry: 10 }), ['a']],
  ])('are sent before %s', async (_name, act, expected) => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    act(stream)
    await settled()
    expect(dataOf(transport)).toEqual(expected)
    expect(transport.writes[0]).toMatch(/^id: .*\ndata: a\n\n/)
  })

  it('are sent when `drained` resolves', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    await stream.drained()
    expect(dataOf(transport)).toEqual(['a'])
  })

  it('are not delivered early by reading what is buffered', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    expect([stream.bufferedEvents, stream.bufferedBytes]).toEqual([0, 0])
    void hub.channel('a').publish({ data: 'b' })
    await settled()
    expect(transport.writes).toHaveLength(1)
    expect(dataOf(transport)).toEqual(['a', 'b'])
  })

  it('are sent to the streams that were subscribed at the moment of the call', async () => {
    const hub = new Hub()
    const early = fakeStream()
    const unsubscribe = hub.subscribe(early.stream, ['a'])
    const late = fakeStream()
    hub.subscribe(late.stream, ['other'])
    await settled()
    void hub.channel('a').publish({ data: 1 })
    unsubscribe()
    hub.subscribe(late.stream, ['a'])
    void hub.channel('a').publish({ data: 2 })
    await settled()
    expect(dataOf(early.transport)).toEqual(['1'])
    expect(dataOf(late.transport)).toEqual(['2'])
  })

  it('are sent in several writes below 16 KiB, of which the rest waits for a drain', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    const write = transport.write.bind(transport)
    transport.write = (frame) => {
      transport.isFull = transport.writes.length === 1
      return write(frame)
    }
    for (let i = 0; i < 40; i++) void hub.channel('a').publish({ data: `${i}`.padEnd(1000) })
    await nextTurn()
    expect(transport.writes).toHaveLength(2)
    expect(stream.bufferedEvents).toBe(40 - 2 * 15)
    transport.drain()
    expect(dataOf(transport).map(Number)).toEqual([...Array(40).keys()])
    for (const text of transport.writes) expect(text.length).toBeLessThan(16 * 1024)
  })

  it('are sent before the end of the turn when there are thousands of them', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub, { maxBufferedEvents: 100 })
    for (let i = 0; i < 2_500; i++) void hub.channel('a').publish({ data: i })
    await Promise.resolve()
    expect(transport.writes.length).toBeGreaterThan(10)
    await settled()
    expect(dataOf(transport).map(Number)).toEqual([...Array(2_500).keys()])
  })

  it('are sent before the end of the turn when they are large', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub, { maxBufferedBytes: 100_000 })
    for (let i = 0; i < 6; i++) void hub.channel('a').publish({ data: 'x'.repeat(60_000) })
    await Promise.resolve()
    expect(transport.writes.length).toBeGreaterThan(1)
    await settled()
    expect(dataOf(transport)).toHaveLength(6)
  })

  it('are held back by the `flushInterval` and the `rateLimit` of a stream', async () => {
    const hub = new Hub()
    const gathering = await follow(hub, { flushInterval: 60_000 })
    const limited = await follow(hub, { rateLimit: { eventsPerSecond: 1, burst: 2 } })
    for (let i = 0; i < 5; i++) void hub.channel('a').publish({ data: i })
    await settled()
    expect(gathering.transport.writes).toEqual([])
    expect(dataOf(limited.transport)).toEqual(['0', '1'])
  })

  it('are queued behind the events that a slow stream was sent itself', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    transport.isFull = true
    stream.send({ data: 'own' })
    await nextTurn()
    void hub.channel('a').publish({ data: 'a' })
    await nextTurn()
    expect(dataOf(transport)).toEqual(['own'])
    transport.drain()
    expect(dataOf(transport)).toEqual(['own', 'a'])
  })

  it('are followed by the events that a `drop` listener publishes', async () => {
    const hub = new Hub()
    const slow = fakeStream({ maxBufferedEvents: 1, overflow: 'drop-newest' })
    const { transport } = await follow(hub)
    let published = 0
    slow.stream.on('drop', () => {
      if (published++ < 8) void hub.channel('b').publish({ data: 'dropped' })
    })
    hub.subscribe(slow.stream, ['a'])
    await settled()
    slow.transport.isFull = true

    for (const data of ['1', '2', '3']) {
      await hub.channel('a').publish({ data })
      await nextTurn()
    }
    await settled()

    expect(dataOf(transport)).toContain('dropped')
    expect(dataOf(transport).indexOf('3')).toBeLessThan(dataOf(transport).indexOf('dropped'))
  })
})
