import { describe, expect, it } from 'vitest'
import type { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { logKinds } from '../support/broker-logs.ts'
import { CutClients } from '../support/cut-clients.ts'
import { HubClient } from '../support/hub-client.ts'
import { nextTurn } from '../support/streams.ts'

const kinds = logKinds()
const shared = kinds.filter(({ isShared }) => isShared)

interface Publishing {
  readonly name: string
  /** The share of the log that is published in one turn. A process cannot read a burst that the broker has evicted. */
  readonly burst: number
}

const PUBLISHING: Publishing[] = [
  { name: 'in bursts', burst: 0.5 },
  { name: 'one by one', burst: 0 },
]

/** Publishes numbers from 0. Resolves when the hub has delivered them. */
async function publish(hub: Hub, channel: string, count: number, burst: number): Promise<void> {
  for (let n = 0; n < count; ) {
    const size = Math.min(Math.max(1, burst), count - n)
    const ids = Array.from({ length: size }, (_, i) => hub.channel(channel).publish({ data: n + i }))
    const last = (await Promise.all(ids)).at(-1) as string
    n += size
    if (size > 1 || n === count) await delivered(hub, last)
  }
}

/** Resolves when a hub has delivered a position. */
async function delivered(hub: Hub, id: string): Promise<void> {
  const { compare } = hub._store
  await expect.poll(() => compare?.call(hub._store, hub._store.position, id)).toBeGreaterThanOrEqual(0)
  await nextTurn()
  await nextTurn()
}

/** Connects a client. Resolves when it has a position. */
async function connected(hub: Hub, channel: string, options: SubscribeOptions = {}): Promise<HubClient> {
  const client = new HubClient(hub, [channel], options)
  client.connect()
  await expect.poll(() => client.transport.all.join('')).toContain('\n\n')
  return client
}

/** Reconnects a client to a hub and publishes an event. Returns what the client receives up to that event. */
async function received(client: HubClient, hub: Hub, channel: string, options?: SubscribeOptions) {
  const again = new HubClient(hub, [channel], options)
  again.lastEventId = client.lastEventId
  again.connect()
  await hub.channel(channel).publish({ data: 'last' })
  await expect.poll(() => again.transport.writes.join('')).toContain('data: last\n\n')
  again.cut()
  return again.data
}

describe.each(kinds)(
  'on $name, a client that stays connected and then reconnects',
  ({ isShared, newLog }) => {
    const targets = isShared ? ['the same process', 'another process'] : ['the same process']
    const cases = PUBLISHING.flatMap((publishing) => targets.map((target) => ({ ...publishing, target })))

    it.each(cases)(
      'receives no gap from $target after its filter hid 2 000 of 2 001 events $name (decision 7.2)',
      async ({ burst, target }) => {
        const maxEvents = 500
        const openHub = newLog({ maxEvents })
        const hub = await openHub()
        const options: SubscribeOptions = { filter: ({ data }) => data === 0 || data === 'last' }
        const client = await connected(hub, 'a', options)
        await publish(hub, 'a', 2_001, burst * maxEvents)
        client.cut()
        expect(client.data).toEqual(['0'])

        const other = target === 'the same process' ? hub : await openHub()
        expect(await received(client, other, 'a', options)).toEqual(['last'])
      },
    )

    const caches = isShared ? [10_000, 100] : [10_000]
    const quiet = cases.flatMap((each) => caches.map((recentEvents) => ({ ...each, recentEvents })))

    it.each(quiet)(
      'receives no gap from $target after a busy channel got events $name, with a cache of $recentEvents',
      async ({ burst, target, recentEvents }) => {
        const maxEvents = burst > 0 ? 1_000 : 300
        const openHub = newLog({ maxEvents, recentEvents })
        const hub = await openHub()
        const client = await connected(hub, 'quiet')
        await publish(hub, 'busy', 5 * maxEvents, burst * maxEvents)
        client.cut()
        expect(client.data).toEqual([])

        const other = target === 'the same process' ? hub : await openHub()
        expect(await received(client, other, 'quiet')).toEqual(['last'])
      },
    )
  },
)

describe.each(shared)(
  'on $name, connections that are cut at random bytes from the first one on',
  ({ newLog }) => {
    it('deliver each event after the first position once, from two processes', async () => {
      const openHub = newLog()
      const hubs = await Promise.all([openHub(), openHub()])
      const clients = await CutClients.connect(hubs, 60)
      for (let published = 0; published < 3_000; published += 30) await clients.publish(hubs[0] as Hub, 30)
      await clients.finish()
      expect(clients.cut).toBeGreaterThan(60)
      clients.check()
    })
  },
)
