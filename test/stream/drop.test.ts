import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'
import { nextUncaught } from '../support/uncaught.ts'

const POLICIES = ['drop-oldest', 'drop-newest'] as const

/** Opens a stream whose transport is full and whose queue holds as many events as it may. */
async function fullStream(options: Parameters<typeof fakeStream>[0] = {}) {
  const opened = fakeStream({ maxBufferedEvents: 2, overflow: 'drop-oldest', ...options })
  const { stream, transport } = opened
  transport.isFull = true
  stream.send({ data: 'first' })
  await nextTurn()
  for (const data of ['a', 'b']) stream.send({ data })
  return opened
}

const sent = ({ writes }: { writes: string[] }) => parseEvents(writes.join('')).map(({ data }) => data)

function countDrops(stream: SseStream): number[] {
  const drops: number[] = []
  stream.on('drop', (events) => drops.push(events))
  return drops
}

function watchOverflows(stream: SseStream): number[] {
  const dropped: number[] = []
  const listener = (message: unknown) => {
    const overflow = message as { stream: SseStream; dropped: number }
    if (overflow.stream === stream) dropped.push(overflow.dropped)
  }
  subscribe('spillway:stream:overflow', listener)
  onTestFinished(() => void unsubscribe('spillway:stream:overflow', listener))
  return dropped
}

describe('the event drop', () => {
  it.each(POLICIES)(
    'is emitted once at the end of the turn, with the total, with overflow %s',
    async (overflow) => {
      const { stream } = await fullStream({ overflow })
      const drops = countDrops(stream)
      for (let i = 0; i < 5; i++) stream.send({ data: i })
      expect(drops).toEqual([])
      await nextTurn()
      expect(drops).toEqual([5])
      stream.send({ data: 'next turn' })
      await nextTurn()
      expect(drops).toEqual([5, 1])
      await nextTurn()
      expect(drops).toEqual([5, 1])
    },
  )

  it('counts the events that a hub publishes in one turn', async () => {
    const hub = new Hub()
    const { stream } = await fullStream()
    hub.subscribe(stream, ['news'])
    const drops = countDrops(stream)
    for (let i = 0; i < 3; i++) void hub.channel('news').publish({ data: i })
    await settled()
    expect(drops).toEqual([3])
  })

  it.each(POLICIES)('does not recurse when its listener sends events with overflow %s', async (overflow) => {
    const { stream } = await fullStream({ overflow })
    const calls: number[] = []
    stream.on('drop', (events) => {
      calls.push(events)
      for (let i = 0; i < 10; i++) stream.send({ event: 'dropped', data: events })
    })
    stream.send({ data: 'one too many' })
    expect(calls).toEqual([])
    await settled()
    expect(calls).toEqual([1])
  })

  it('does not displace the queue by the notices of its own listener', async () => {
    const { stream, transport } = await fullStream({ maxBufferedEvents: 4 })
    stream.on('drop', (events) => void stream.send({ event: 'dropped', data: events }))
    for (const data of ['c', 'd', 'e']) stream.send({ data })
    await settled()
    transport.drain()
    expect(sent(transport).slice(0, 5)).toEqual(['first', 'c', 'd', 'e', '1'])
  })

  it('includes the events that its listener dropped in the report of the next turn with drops', async () => {
    const { stream } = await fullStream()
    const calls: number[] = []
    stream.on('drop', (events) => {
      calls.push(events)
      if (calls.length === 1) stream.send({ data: 'notice' })
    })
    stream.send({ data: 'c' })
    await settled()
    for (const data of ['d', 'e']) stream.send({ data })
    await settled()
    expect(calls).toEqual([1, 3])
  })

  it.each([
    ['has caught up', (opened: Awaited<ReturnType<typeof fullStream>>) => opened.transport.drain()],
    ['disconnects', (opened: Awaited<ReturnType<typeof fullStream>>) => opened.transport.lose()],
  ])('reports the events that its listener dropped when the client %s', async (_when, act) => {
    const opened = await fullStream()
    const { stream } = opened
    const calls: number[] = []
    stream.on('drop', (events) => {
      calls.push(events)
      if (calls.length === 1) stream.send({ data: 'notice' })
    })
    stream.send({ data: 'c' })
    await settled()
    act(opened)
    await settled()
    expect(calls).toEqual([1, 1])
  })

  it('comes before close when the client disconnects in the same turn', async () => {
    const { stream, transport } = await fullStream()
    const seen: unknown[] = []
    stream.on('drop', (events) => seen.push(events))
    stream.on('close', (reason) => seen.push(reason))
    for (const data of ['c', 'd']) stream.send({ data })
    transport.lose()
    await settled()
    expect(seen).toEqual([2, 'client'])
  })

  it('passes an exception of its listener on as uncaught, and sends the event', async () => {
    const { stream, transport } = await fullStream()
    const uncaught = nextUncaught()
    stream.once('drop', () => {
      throw new Error('listener')
    })
    stream.send({ data: 'c' })
    await expect(uncaught).resolves.toMatchObject({ message: 'listener' })
    transport.drain()
    expect(sent(transport)).toEqual(['first', 'b', 'c'])
  })
})

describe('the diagnostics channel of overflows', () => {
  it('receives one message for each turn, with the total', async () => {
    const { stream } = await fullStream()
    const dropped = watchOverflows(stream)
    for (let i = 0; i < 5; i++) stream.send({ data: i })
    await nextTurn()
    stream.send({ data: 'next turn' })
    await nextTurn()
    expect(dropped).toEqual([5, 1])
  })

  it('receives a message at once when the client is disconnected', async () => {
    const { stream } = await fullStream({ overflow: 'close' })
    const dropped = watchOverflows(stream)
    stream.send({ data: 'c' })
    expect(dropped).toEqual([0])
  })
})

describe('the event drain', () => {
  it('does not recurse when its listener fills the transport again', async () => {
    const { stream, transport } = fakeStream()
    let [depth, deepest, drains] = [0, 0, 0]
    stream.on('drain', () => {
      drains += 1
      deepest = Math.max(deepest, ++depth)
      for (let i = 0; i < 3; i++) stream.send({ data: 'x'.repeat(9_000) })
      depth -= 1
    })
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    for (let i = 0; i < 30; i++) {
      transport.drain({ isFull: true })
      await nextTurn()
    }
    expect(deepest).toBe(1)
    expect(drains).toBeGreaterThan(5)
  })

  it('sends the events of one listener before another one closes the stream', async () => {
    const { stream, transport } = fakeStream()
    const onDrain = vi.fn(() => void stream.close())
    stream.on('drain', () => void stream.send({ data: 'last' }))
    stream.on('drain', onDrain)
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    const end = closed(stream)
    transport.drain()
    await settled()
    transport.lose()
    expect(await end).toMatchObject({ reason: 'server' })
    expect(onDrain).toHaveBeenCalledTimes(1)
    expect(sent(transport)).toEqual(['first', 'last'])
  })
})
