import { describe, expect, it } from 'vitest'
import type { Hub } from '../../src/hub/hub.ts'
import type { From } from '../../src/hub/subscribe-options.ts'
import { logKinds } from '../support/broker-logs.ts'
import { HubClient } from '../support/hub-client.ts'

const shared = logKinds().filter(({ isShared }) => isShared)

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i))

/** Publishes numbers. Resolves with their ids. */
async function publish(hub: Hub, channel: string, from: number, to: number): Promise<string[]> {
  return Promise.all(numbers(from, to).map((data) => hub.channel(channel).publish({ data })))
}

/** Resolves when a client was sent an event. */
async function isReceived(client: HubClient, data: string | undefined): Promise<void> {
  if (data === undefined) await expect.poll(() => client.transport.all.join('')).toContain('position')
  else await expect.poll(() => client.transport.writes.join('')).toContain(`data: ${data}\n\n`)
}

const EVICTED = '{"reason":"evicted"}'

describe.each(shared)('on $name', ({ newLog }) => {
  describe.each([
    ['all', 1_000],
    ['some', 10],
    ['none', 3],
  ])('with a cache that holds %s of the events of a channel', (holds, recentEvents) => {
    // Events of another channel follow those of the channel.
    const others = holds === 'none' ? 10 : 4

    it.each<[string, (ids: string[]) => From, string[]]>([
      ['the beginning', () => 'start', numbers(0, 30)],
      ['the newest events', () => ({ last: 20 }), numbers(10, 30)],
      ['more events than there are', () => ({ last: 50 }), numbers(0, 30)],
      ['an id', (ids) => ids[4] as string, numbers(5, 30)],
      ['the newest id', (ids) => ids.at(-1) as string, []],
    ])('starts a new client at %s', async (_start, from, expected) => {
      const openHub = newLog({ recentEvents })
      const first = await openHub()
      const ids = await publish(first, 'a', 0, 30)
      const newest = (await publish(first, 'other', 0, others)).at(-1)
      const hubs = [first, await openHub()]
      // A process counts the newest events among those that it has received.
      for (const hub of hubs) await expect.poll(() => hub._store.position).toBe(newest)
      const clients = hubs.map((hub) => new HubClient(hub, ['a'], { from: from(ids) }))
      for (const client of clients) client.connect()
      for (const client of clients) await isReceived(client, expected.at(-1))
      await publish(first, 'other', 0, 1)
      await publish(first, 'a', 30, 31)
      for (const client of clients) {
        await isReceived(client, '30')
        client.cut()
        expect(client.data).toEqual([...expected, '30'])
      }
    })

    it('reports once that the beginning was evicted', async () => {
      const openHub = newLog({ maxEvents: 100, recentEvents })
      const first = await openHub()
      for (let n = 0; n < 600; n += 50) await publish(first, 'a', n, n + 50)
      for (const hub of [first, await openHub()]) {
        const client = new HubClient(hub, ['a'], { from: 'start' })
        client.connect()
        await isReceived(client, '599')
        client.cut()
        expect(client.data[0]).toBe(EVICTED)
        const kept = client.data.slice(1)
        expect(kept.length).toBeGreaterThanOrEqual(100)
        expect(kept).toEqual(numbers(600 - kept.length, 600))
      }
    })
  })

  it('sends a snapshot before the events that another process publishes meanwhile', async () => {
    const openHub = newLog()
    const [hub, other] = await Promise.all([openHub(), openHub()])
    await publish(other, 'a', 0, 5)
    const snapshot = async () => {
      await publish(other, 'a', 5, 200)
      return [{ event: 'state', data: 'all' }]
    }
    const client = new HubClient(hub, ['a'], { snapshot })
    client.connect()
    await isReceived(client, '199')
    client.cut()
    // The process may have received some of the five later than the client has connected.
    const [state, ...events] = client.data
    expect(state).toBe('all')
    expect(events).toEqual(numbers(200 - events.length, 200))
    expect(events.length).toBeGreaterThanOrEqual(195)
  })

  it('neither loses nor repeats events that are published while the newest ones are read', async () => {
    const openHub = newLog({ recentEvents: 20 })
    const [hub, other] = await Promise.all([openHub(), openHub()])
    const ids = await publish(other, 'a', 0, 100)
    await expect.poll(() => hub._store.position).toBe(ids.at(-1))
    const clients: HubClient[] = []
    for (let n = 100; n < 400; n += 20) {
      const publishing = publish(other, 'a', n, n + 20)
      const client = new HubClient(hub, ['a'], { from: { last: 50 } })
      client.connect()
      clients.push(client)
      await publishing
    }
    for (const client of clients) {
      await isReceived(client, '399')
      client.cut()
      expect(client.data).toEqual(numbers(400 - client.data.length, 400))
      expect(client.data.length).toBeGreaterThanOrEqual(40)
    }
  })
})
