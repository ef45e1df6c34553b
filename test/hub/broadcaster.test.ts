import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { FakeTransport } from '../support/fake-transport.ts'
import { parseEvents } from '../support/parse.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const read = ({ writes }: FakeTransport) => parseEvents(writes.join('')).map(({ data }) => data)

async function follow(hub: Hub, ...args: Parameters<typeof fakeStream>) {
  const made = fakeStream(...args)
  hub.subscribe(made.stream, ['a', 'b'])
  await settled()
  return made
}

describe('what is published within a turn', () => {
  it('leaves in one write, with what the stream was sent itself, in the order of the calls', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    stream.send({ data: 'own 1' })
    void hub.channel('a').publish({ data: 'a' })
    void hub.channel('b').publish({ data: 'b' })
    stream.send({ data: 'own 2' })
    void hub.channel('a').publish({ data: 'a 2' })
    await nextTurn()
    expect(read(transport)).toEqual(['own 1', 'a', 'b', 'own 2', 'a 2'])
    expect(transport.writes).toHaveLength(1)
  })

  it('keeps its order over the channels and over two hubs that one stream follows', async () => {
    const [one, two] = [new Hub(), new Hub()]
    const { stream, transport } = await follow(one)
    two.subscribe(stream, ['a'])
    await settled()
    for (let i = 0; i < 6; i++) {
      void one.channel(i % 2 ? 'a' : 'b').publish({ data: `one ${i}` })
      void two.channel('a').publish({ data: `two ${i}` })
    }
    await settled()
    expect(read(transport)).toEqual([0, 1, 2, 3, 4, 5].flatMap((i) => [`one ${i}`, `two ${i}`]))
  })

  it.each<[string, (stream: SseStream) => unknown, string[]]>([
    ['a comment', (stream) => stream.comment('note'), ['a']],
    ['close', (stream) => stream.close({ retry: 10 }), ['a']],
  ])('comes before %s', async (_name, act, expected) => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    act(stream)
    await settled()
    expect(read(transport)).toEqual(expected)
    expect(transport.writes[0]).toMatch(/^id: .*\ndata: a\n\n/)
  })

  it('has left when drained says that nothing waits', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    await stream.drained()
    expect(read(transport)).toEqual(['a'])
  })

  it('counts as buffered from the moment on when it is published', async () => {
    const hub = new Hub()
    const { stream } = await follow(hub)
    void hub.channel('a').publish({ data: 'a' })
    expect(stream.bufferedEvents).toBe(1)
    const bytes = stream.bufferedBytes
    void hub.channel('a').publish({ data: 'b' })
    expect(stream.bufferedBytes).toBeGreaterThan(bytes)
  })

  it('reaches who left after it, and not who left before or came after it', async () => {
    const hub = new Hub()
    const made = fakeStream()
    const leave = hub.subscribe(made.stream, ['a'])
    const coming = fakeStream()
    hub.subscribe(coming.stream, ['other'])
    await settled()
    void hub.channel('a').publish({ data: 1 })
    leave()
    hub.subscribe(coming.stream, ['a'])
    void hub.channel('a').publish({ data: 2 })
    await settled()
    expect(read(made.transport)).toEqual(['1'])
    expect(read(coming.transport)).toEqual(['2'])
  })

  it('leaves in as many writes as it needs, none of them large, and the rest waits when the kernel is full', async () => {
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
    expect(read(transport).map(Number)).toEqual([...Array(40).keys()])
    for (const text of transport.writes) expect(text.length).toBeLessThan(16 * 1024)
  })

  it('is handed out in parts when it is much, so that nothing is held without bound', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub, { maxBufferedEvents: 100 })
    for (let i = 0; i < 2_500; i++) void hub.channel('a').publish({ data: i })
    await Promise.resolve()
    expect(transport.writes.length).toBeGreaterThan(10)
    await settled()
    expect(read(transport).map(Number)).toEqual([...Array(2_500).keys()])
  })

  it('is handed out in parts when its events are large', async () => {
    const hub = new Hub()
    const { transport } = await follow(hub, { maxBufferedBytes: 100_000 })
    for (let i = 0; i < 6; i++) void hub.channel('a').publish({ data: 'x'.repeat(60_000) })
    await Promise.resolve()
    expect(transport.writes.length).toBeGreaterThan(1)
    await settled()
    expect(read(transport)).toHaveLength(6)
  })

  it('waits for the interval of a stream that gathers, and for the pace of one that is limited', async () => {
    const hub = new Hub()
    const gathering = await follow(hub, { flushInterval: 60_000 })
    const limited = await follow(hub, { rateLimit: { eventsPerSecond: 1, burst: 2 } })
    for (let i = 0; i < 5; i++) void hub.channel('a').publish({ data: i })
    await settled()
    expect(gathering.transport.writes).toEqual([])
    expect(read(limited.transport)).toEqual(['0', '1'])
  })

  it('waits behind a stream of its own that lags', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    transport.isFull = true
    stream.send({ data: 'own' })
    await nextTurn()
    void hub.channel('a').publish({ data: 'a' })
    await nextTurn()
    expect(read(transport)).toEqual(['own'])
    transport.drain()
    expect(read(transport)).toEqual(['own', 'a'])
  })

  it('follows what its serialiser sends and publishes', async () => {
    const hub = new Hub()
    const { stream, transport } = await follow(hub)
    const toJSON = vi.fn(() => {
      stream.send({ data: 'own' })
      void hub.channel('a').publish({ data: 'nested' })
      return 'outer'
    })
    void hub.channel('a').publish({ data: 'first' })
    void hub.channel('a').publish({ data: { toJSON } })
    await settled()
    expect(read(transport)).toEqual(['first', 'own', 'nested', '"outer"'])
  })
})
