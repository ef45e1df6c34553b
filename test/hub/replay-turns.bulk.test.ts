import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { eventsOf, publishNumbers, subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const CLIENTS = 60
const EVENTS = 200
// What one turn of the event loop replays at most: the budget and the last page of it.
const MAX_TURN = (250 + 17) * 1024

/** Clients that resume at once, each of which has missed 200 kB, and one client that is live. */
async function storm() {
  const hub = new Hub()
  const start = await publishNumbers(hub, EVENTS, { size: 1_000 })
  const live = await subscribed(hub, ['live'])
  const clients = Array.from({ length: CLIENTS }, () => fakeStream({ heartbeat: 0 }, start))
  for (const { stream } of clients) hub.subscribe(stream, ['a'])
  const replayed = () => clients.reduce((sum, { stream }) => sum + stream._connection.sentBytes, 0)
  return { hub, live, clients, replayed }
}

describe('while many clients resume', () => {
  it('an event that is published reaches a live client before more than one turn of replays', async () => {
    const { hub, live, replayed } = await storm()
    for (let published = 0; published < 12; published++) {
      await nextTurn()
      const before = replayed()
      let atDelivery = 0
      vi.spyOn(live.transport, 'write').mockImplementationOnce(() => {
        atDelivery = replayed()
        return true
      })
      await hub.channel('live').publish({ data: published })
      for (let turn = 0; turn < 2 && atDelivery === 0; turn++) await nextTurn()
      expect(atDelivery).toBeGreaterThan(0)
      expect(atDelivery - before).toBeLessThan(MAX_TURN)
    }
  })

  it('one turn of the event loop sends no more than its budget', async () => {
    const { replayed } = await storm()
    let [before, turns] = [replayed(), 0]
    while (replayed() < CLIENTS * EVENTS * 1_000) {
      await nextTurn()
      expect(replayed() - before).toBeLessThan(MAX_TURN)
      before = replayed()
      turns += 1
    }
    // None waits longer than necessary.
    expect(turns).toBeLessThan(2 * ((CLIENTS * EVENTS * 1_050) / (250 * 1024)))
  })

  it('one turn of the event loop reads a few thousand channels at most', async () => {
    const store = new MemoryStore()
    const hub = new Hub({ store })
    const start = await publishNumbers(hub, 50, { size: 1_000 })
    const channels = ['a', ...Array.from({ length: 999 }, (_, i) => `quiet ${i}`)]
    const read = vi.spyOn(store, 'read')
    const clients = Array.from({ length: 20 }, () => fakeStream({}, start))
    for (const { stream } of clients) hub.subscribe(stream, channels)
    while (clients.some(({ transport }) => eventsOf(transport).length < 50)) {
      read.mockClear()
      await nextTurn()
      // Those at the newest position cost nothing, and are not counted.
      const pages = read.mock.results.filter(({ value }) => value.entries.length > 0)
      expect(pages.length * channels.length).toBeLessThanOrEqual(5_000)
    }
  })

  it('all of them progress', async () => {
    const { clients } = await storm()
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    expect(clients.filter(({ stream }) => stream._connection.sentBytes === 0)).toEqual([])
    for (const { stream } of clients) stream.destroy()
    await settled()
  })

  it('a client that has missed nothing goes live at once', async () => {
    const { hub } = await storm()
    const { stream, transport } = fakeStream({}, hub._store.position)
    hub.subscribe(stream, ['a'])
    await nextTurn()
    await hub.channel('a').publish({ data: 'live' })
    await settled()
    expect(eventsOf(transport)).toEqual(['message live'])
  })

  it('clients that disconnect do not delay the others', async () => {
    const { hub, clients } = await storm()
    const last = fakeStream({}, clients[0]?.stream.lastEventId)
    hub.subscribe(last.stream, ['a'])
    await nextTurn()
    for (const { transport } of clients) transport.lose()
    for (let turn = 0; turn < 2 * Math.ceil(EVENTS / 16) + 2; turn++) await nextTurn()
    expect(eventsOf(last.transport)).toHaveLength(EVENTS)
  })
})

describe('while many clients have a gap', () => {
  it('none waits for the snapshots of the others', async () => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 10 }) })
    const evicted = await publishNumbers(hub, 20)
    await settled()
    const snapshot = vi.fn(async () => {
      await nextTurn()
      return [{ data: 'state' }]
    })
    const clients = Array.from({ length: CLIENTS }, () => fakeStream({}, evicted))
    for (const { stream } of clients) hub.subscribe(stream, 'a', { snapshot })
    for (let turn = 0; turn < 5; turn++) await nextTurn()
    expect(snapshot).toHaveBeenCalledTimes(CLIENTS)
    await settled()
    for (const { transport } of clients) expect(eventsOf(transport)).toEqual(['message state'])
  })
})

describe('a client that resumes alone', () => {
  it('is sent what it missed in the tick in which it subscribes', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 10)
    await settled()
    const { stream } = fakeStream({}, start)
    hub.subscribe(stream, ['a'])
    for (let tick = 0; tick < 10; tick++) await null
    expect(stream.bufferedEvents).toBe(10)
  })
})

describe('pages that arrive together', () => {
  it('are sent in several turns of the event loop', async () => {
    const store = new MemoryStore()
    const hub = new Hub({ store })
    const start = await publishNumbers(hub, 16, { size: 1_000 })
    const read = store.read.bind(store)
    const arrival = nextTurn().then(nextTurn)
    Object.assign(store, {
      read: (...args: Parameters<typeof read>) => {
        const page = read(...args)
        return page !== 'gap' && page.entries.length === 0 ? page : arrival.then(() => page)
      },
    })
    const clients = Array.from({ length: 100 }, () => fakeStream({}, start))
    for (const { stream } of clients) hub.subscribe(stream, 'a')
    const replayed = () => clients.reduce((sum, { stream }) => sum + stream._connection.sentBytes, 0)
    while (clients.some(({ transport }) => eventsOf(transport).length < 16)) {
      const before = replayed()
      await nextTurn()
      expect(replayed() - before).toBeLessThan(MAX_TURN)
    }
  })
})
