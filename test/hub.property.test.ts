import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Hub } from '../src/hub.ts'
import type { EventLog, LogFollower, Page } from '../src/logs/event-log.ts'
import { MemoryLog } from '../src/logs/memory.ts'
import { HubClient } from './support/hub-client.ts'
import { nextTurn } from './support/streams.ts'

const CHANNELS = ['a', 'b', 'c']

/** The memory log as a broker would be: what is read comes later, and so does what is told. */
class SlowLog implements EventLog {
  readonly #log: MemoryLog
  constructor(log: MemoryLog) {
    this.#log = log
  }
  get head() {
    return this.#log.head
  }
  open(follower: LogFollower) {
    this.#log.open(follower)
  }
  async append(...args: Parameters<EventLog['append']>) {
    await nextTurn()
    return this.#log.append(...args)
  }
  read(...args: Parameters<EventLog['read']>): Page | Promise<Page> {
    const page = this.#log.read(...args)
    return page !== 'gap' && page.entries.length === 0 ? page : nextTurn().then(() => page)
  }
  close() {
    return this.#log.close()
  }
}

type Step =
  | { do: 'publish'; channel: string; times: number }
  | { do: 'connect' | 'turn' | 'tick'; client: number }
  | { do: 'cut'; client: number; share: number }
  | { do: 'stall' | 'drain'; client: number }

const client = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      channel: fc.constantFrom(...CHANNELS),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect' as const), client }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      client,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('stall' as const, 'drain' as const), client }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('turn' as const, 'tick' as const), client }) },
)

const followed = [['a'], ['b', 'c'], ['c', 'a', 'b']]

async function play(log: EventLog, steps: Step[], maxBufferedEvents: number, padding = 0) {
  const hub = new Hub({ log })
  // One of them takes its time over a snapshot.
  const onGap = async () => {
    await nextTurn()
    return [{ event: 'gap', data: 'snapshot' }]
  }
  const clients = followed.map((channels, i) => new HubClient(hub, channels, i === 1 ? { onGap } : {}))
  // What had been published when a client that has no id yet came in; a slow log may append it after that.
  const starts: Array<number | undefined> = clients.map(() => undefined)
  const published: Array<{ channel: string; data: string }> = []
  const publishing: Array<Promise<string>> = []

  for (const each of steps) {
    const one = 'client' in each ? (clients[each.client] as HubClient) : undefined
    switch (each.do) {
      case 'publish':
        for (let i = 0; i < each.times; i++) {
          const data = `${published.length}`
          published.push({ channel: each.channel, data })
          publishing.push(hub.channel(each.channel).publish({ data: data + ' '.repeat(padding) }))
        }
        break
      case 'connect':
        if (!one || (one.stream && !one.stream.closed)) break
        one.cut()
        if (one.lastEventId === '' && log instanceof MemoryLog) starts[each.client] = published.length
        one.connect({ maxBufferedEvents })
        break
      case 'cut':
        one?.cut(each.share)
        break
      case 'stall':
        if (one) one.transport.isFull = true
        break
      case 'drain':
        if (one?.stream) one.transport.drain()
        break
      case 'turn':
        await nextTurn()
        break
      // A publish may come between any two steps of a subscription.
      case 'tick':
        await null
    }
  }
  await Promise.all(publishing)
  for (const [i, one] of clients.entries()) {
    if (one.stream === undefined && one.lastEventId === '') starts[i] = undefined
    await finish(one)
  }
  return { clients, published, starts }
}

/** Brings a client back until it has all there is. */
async function finish(one: HubClient) {
  one.cut()
  for (let before = -1; before !== one.seen.length; ) {
    before = one.seen.length
    one.connect()
    for (let turn = 0; turn < 6; turn++) await nextTurn()
    one.cut()
  }
}

/** Each event that a client saw follows the one before it, or a gap was told in between. */
function check({ clients, published, starts }: Awaited<ReturnType<typeof play>>) {
  for (const [i, { seen }] of clients.entries()) {
    const isMine = ({ channel }: { channel: string }) => (followed[i] as string[]).includes(channel)
    const order = published.filter(isMine).map(({ data }) => data)
    const start = starts[i]
    let next = start === undefined ? undefined : published.slice(0, start).filter(isMine).length
    for (const { event, data, id } of seen) {
      if (data === 'snapshot') next = undefined
      // Whoever jumped goes on after the place to which it jumped.
      else if (event === 'gap' || event === 'checkpoint') {
        next = published.slice(0, Number(id.split('-')[1])).filter(isMine).length
      } else {
        const place = order.indexOf(data.trimEnd())
        expect(place).toBeGreaterThanOrEqual(0)
        if (next !== undefined) expect(place).toBe(next)
        next = place + 1
      }
    }
    if (next !== undefined && seen.length > 0) expect(next).toBe(order.length)
  }
}

describe('whatever is published, cut and resumed', () => {
  const steps = fc.array(step, { maxLength: 40 })
  const options = fc.record({
    maxEvents: fc.constantFrom(3, 8, 10_000),
    maxBufferedEvents: fc.constantFrom(2, 10_000),
    isSlow: fc.boolean(),
    // Large events make a replay wait for the client.
    padding: fc.constantFrom(0, 7_000),
  })

  it('each client has each event once and in order, or was told of a gap', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, options, async (steps, { maxEvents, maxBufferedEvents, isSlow, padding }) => {
        const log = new MemoryLog({ maxEvents })
        check(await play(isSlow ? new SlowLog(log) : log, steps, maxBufferedEvents, padding))
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 10_000) },
    )
  })

  it('nobody is told of a gap while the window holds', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), fc.constantFrom(0, 7_000), async (steps, isSlow, padding) => {
        const log = new MemoryLog()
        const played = await play(isSlow ? new SlowLog(log) : log, steps, 10_000, padding)
        check(played)
        for (const { seen } of played.clients) expect(seen.filter(({ event }) => event === 'gap')).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })
})
