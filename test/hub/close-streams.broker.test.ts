import { describe, expect, it } from 'vitest'
import { logKinds } from '../support/broker-logs.ts'
import { drainAll, eventsOf, publishNumbers } from '../support/hub.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const kinds = logKinds().filter(({ name }) => name !== 'memory')

describe.each(kinds)('hub.closeStreams on $name', ({ newLog }) => {
  it('closes the streams of a user in each process, and no others', async () => {
    const openHub = newLog()
    const hubs = [await openHub(), await openHub()]
    const open = (userId: string) =>
      hubs.map((hub) => {
        const opened = fakeStream({ context: { userId } })
        hub.subscribe(opened.stream, 'news')
        return opened
      })
    const [ada, bob] = [open('ada'), open('bob')]
    await settled()
    const ends = ada.map(({ stream }) => closed(stream))
    await hubs[0]?.closeStreams({ userId: 'ada' }, { retry: 4_000 })
    expect((await Promise.all(ends)).map(({ reason }) => reason)).toEqual(['server', 'server'])
    for (const { transport } of ada) expect(transport.all.join('')).toMatch(/retry: [4-8]\d{3}\n/)
    // The next event arrives, and the request is not one.
    await hubs[0]?.channel('news').publish({ data: 'next' })
    for (const { transport } of bob) {
      await expect.poll(() => transport.all.join('')).toContain('data: next\n')
      expect(eventsOf(transport).filter((event) => !event.startsWith('position'))).toEqual(['message next'])
    }
  })

  it('closes a stream of another process in the middle of its replay', async () => {
    const openHub = newLog()
    const [first, second] = [await openHub(), await openHub()]
    const { stream, transport } = fakeStream({ context: { userId: 'ada' } })
    second.subscribe(stream, 'a')
    await settled()
    await publishNumbers(first, 1)
    await expect.poll(() => eventsOf(transport)).toContain('message 0')
    // The position of the second process, because those of Redis Pub/Sub are not shared.
    const id = /id: (\S+)\n/.exec(transport.all.join(''))?.[1] as string
    await publishNumbers(first, 60, { size: 60_000 })
    await expect.poll(() => eventsOf(transport)).toContain('message 59')
    const late = fakeStream({ context: { userId: 'late' } }, id)
    late.transport.isFull = true
    second.subscribe(late.stream, 'a')
    await settled()
    const end = closed(late.stream)
    await first.closeStreams({ userId: 'late' })
    await expect.poll(() => late.stream.closed).toBe(true)
    await drainAll(late.transport)
    expect((await end).reason).toBe('server')
    expect(eventsOf(late.transport).length).toBeLessThan(20)
    expect(stream.closed).toBe(false)
  })

  it('reads the entries after a request that `deserialize` cannot read', async () => {
    const openHub = newLog()
    const fail = () => {
      throw new Error('not of this version')
    }
    const [first, second] = [await openHub(), await openHub({ deserialize: fail })]
    const { stream, transport } = fakeStream({ context: { userId: 'ada' } })
    second.subscribe(stream, 'news')
    await settled()
    // At once, so that a broker delivers them together.
    await Promise.all([
      first._store.append({ channel: 'spillway:control*', data: 'x' }),
      first.channel('news').publish({ data: 'next' }),
    ])
    await expect.poll(() => transport.all.join('')).toContain('data: next\n')
    await first.closeStreams({ userId: 'ada' })
    await expect.poll(() => stream.closed).toBe(true)
  })

  it('reauthorizes the streams of a user in each process', async () => {
    const openHub = newLog()
    const hubs = [await openHub(), await openHub()]
    const checked: number[] = []
    for (const [process, hub] of hubs.entries()) {
      const { stream } = fakeStream({ context: { userId: 'ada' } })
      stream._reauthorization = { _recheck: async () => void checked.push(process) }
      hub.subscribe(stream, 'a')
    }
    await hubs[0]?.reauthorize({ userId: 'ada' })
    await expect.poll(() => checked.toSorted()).toEqual([0, 1])
  })
})
