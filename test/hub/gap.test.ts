import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { drainAll, eventsOf, GAP, publishNumbers, subscribed } from '../support/hub.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

/** A hub that keeps two events. */
const smallHub = (options = {}) => new Hub({ store: new MemoryStore({ maxEvents: 2 }), ...options })

describe('a gap event', () => {
  it('is sent before any live event, with the id that the client resumes from', async () => {
    const hub = smallHub()
    const start = await publishNumbers(hub, 5)
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, ['a'])
    const live = hub.channel('a').publish({ data: 'live' })
    await settled()

    const [gap, next] = parseEvents(transport.writes.join(''))
    expect(gap).toMatchObject({ event: 'gap', data: '{"reason":"unknown"}' })
    // The gap covers the event that was published before the store was read.
    expect([gap?.id, next?.id]).toEqual([await live, undefined])

    const id = await hub.channel('a').publish({ data: 'next' })
    await settled()
    expect(parseEvents(transport.writes.join('')).at(-1)).toMatchObject({ data: 'next', id })
  })

  it.each([
    ['unknown', 'that the hub did not assign', 'other-1'],
    ['unknown', 'that no hub assigns', 'x'],
    ['unreadable', 'that cannot be read', null],
  ])('has the reason "%s" for a last event id %s (rules 22, 25)', async (reason, _name, id) => {
    const hub = new Hub()
    await hub.channel('a').publish({ data: 1 })

    const { transport } = await subscribed(hub, ['a'], {}, id)

    expect(eventsOf(transport)).toEqual([`gap {"reason":"${reason}"}`])
  })

  it('has the name that `gapEvent` gives', async () => {
    const hub = smallHub({ gapEvent: 'resync' })

    const { transport } = await subscribed(hub, ['a'], {}, await publishNumbers(hub, 5))

    expect(eventsOf(transport)).toEqual(['resync {"reason":"unknown"}'])
  })

  it('is not sent when `gapEvent` is false', async () => {
    const hub = smallHub({ gapEvent: false })
    const { transport } = await subscribed(hub, ['a'], {}, await publishNumbers(hub, 5))

    await hub.channel('a').publish({ data: 'live' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message live'])
  })

  it('is sent to a client that is overtaken during its replay', async () => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 30 }) })
    const start = await publishNumbers(hub, 29, { size: 10_000 })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, ['a'])
    await settled()

    for (let i = 0; i < 100; i++) await hub.channel('a').publish({ data: 'overtakes' })
    for (let i = 0; i < 4; i++) await drainAll(transport)

    expect(eventsOf(transport)).toContain(GAP)
    expect(stream.closed).toBe(false)
  })

  it.each(['drop-oldest', 'drop-newest', 'close'] as const)(
    'is sent to a client whose queue is full with overflow "%s", once there is room',
    async (overflow) => {
      const hub = new Hub({ store: new MemoryStore({ maxEvents: 1 }) })
      const start = await publishNumbers(hub, 3)
      const { stream, transport } = fakeStream({ overflow, maxBufferedEvents: 2 }, start)
      transport.isFull = true
      stream.send({ data: 'own' })
      await nextTurn()
      stream.send({ data: 'own' })
      stream.send({ data: 'own' })

      hub.subscribe(stream, ['a'])
      await settled()
      transport.drain()
      await settled()
      await hub.channel('a').publish({ data: 'live' })
      await settled()

      expect(eventsOf(transport).slice(-2)).toEqual([GAP, 'message live'])
    },
  )
})

describe('onGap', () => {
  it('returns a snapshot that is sent before the events published meanwhile', async () => {
    const hub = smallHub()
    const start = await publishNumbers(hub, 5)
    const { stream, transport } = fakeStream({}, start)
    const { position } = hub._store
    const onGap = vi.fn(async () => {
      await settled()
      void hub.channel('a').publish({ data: 'meanwhile' })
      return [{ event: 'snapshot', data: 'all' }]
    })

    hub.channel('a').subscribe(stream, { onGap })
    await settled()
    await settled()

    expect(onGap).toHaveBeenCalledExactlyOnceWith({ lastEventId: start, reason: 'unknown' }, stream)
    expect(eventsOf(transport)).toEqual(['snapshot all', 'message meanwhile'])
    // The client resumes from the position that the snapshot stands for.
    expect(transport.all.join('')).toContain(
      `data: all\n\nid: ${position}\nevent: position\ndata: {}\n\nid: `,
    )
  })

  it('returns nothing, and the gap event is sent', async () => {
    const { stream, transport } = fakeStream({}, 'other-1')

    new Hub().subscribe(stream, ['a'], { onGap: () => {} })
    await settled()

    expect(eventsOf(transport)).toEqual([GAP])
    expect(stream.closed).toBe(false)
  })

  it('rejects, and the stream ends with its error', async () => {
    const hub = smallHub()
    const { stream, transport } = fakeStream({}, await publishNumbers(hub, 5))
    const end = closed(stream)

    hub.subscribe(stream, ['a'], { onGap: () => Promise.reject(new Error('database')) })

    expect(await end).toMatchObject({ reason: 'error', error: { message: 'database' } })
    expect(transport.writes).toEqual([])
  })

  it('rejects after the stream unsubscribed, and the stream stays open', async () => {
    const hub = smallHub()
    const { stream, transport } = fakeStream({}, await publishNumbers(hub, 5))
    const unsubscribe = hub.subscribe(stream, ['a'], {
      onGap: async () => {
        await nextTurn()
        throw new Error('database')
      },
    })
    await null
    await null

    unsubscribe()
    await settled()
    await settled()

    expect(stream.closed).toBe(false)
    expect(eventsOf(transport)).toEqual([])
  })

  it('is not called when the stream has unsubscribed in the same turn', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 1)
    await hub.channel('b').publish({ data: 'b' })
    const { stream, transport } = await subscribed(hub, ['a'], {}, start)
    const onGap = vi.fn()

    hub.subscribe(stream, ['b'], { onGap })()
    await settled()

    expect(onGap).not.toHaveBeenCalled()
    expect(eventsOf(transport)).toEqual(['message 0'])
  })

  it('is called once for a gap when the stream is subscribed with it several times', async () => {
    const hub = smallHub()
    const start = await publishNumbers(hub, 5)
    const { stream } = fakeStream({}, start)
    const onGap = vi.fn(() => [{ event: 'snapshot', data: 1 }])

    for (let i = 0; i < 3; i++) hub.subscribe(stream, ['a', 'x'], { onGap })
    hub.subscribe(stream, ['b'], { onGap })
    await settled()

    expect(onGap).toHaveBeenCalledOnce()
  })
})
