import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { fakeStream, settled } from '../support/streams.ts'
import { Tally } from '../support/tally.ts'

const CHANNELS = ['a', 'b', 'conflating']
const QUEUE = { maxBufferedEvents: 3, maxBufferedBytes: 4_000 }
const OPTIONS: SseStreamOptions[] = [
  {},
  ...(['close', 'drop-oldest', 'drop-newest', 'conflate'] as const).map((overflow) => ({
    ...QUEUE,
    overflow,
  })),
  { rateLimit: { eventsPerSecond: 1, burst: 1, excess: 'conflate' } },
  { rateLimit: { eventsPerSecond: 1, burst: 1 } },
]

type Step =
  | {
      do: 'open'
      options: number
      channels: string[]
      isFiltered?: boolean
      isFull?: boolean
      resumesAt?: number
    }
  | { do: 'publish'; channel: string; size: number; count: number }
  | { do: 'add'; client: number; channel: string; hasSnapshot: boolean }
  | { do: 'stall' | 'sip' | 'drain' | 'lose' | 'close' | 'expire' | 'destroy'; client: number }
  | { do: 'turn' }

const client = fc.nat({ max: 20 })
const channel = fc.constantFrom(...CHANNELS)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('open' as const),
    options: fc.nat({ max: OPTIONS.length - 1 }),
    channels: fc.uniqueArray(channel, { minLength: 1 }),
    isFiltered: fc.boolean(),
    isFull: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('open' as const),
    options: fc.nat({ max: OPTIONS.length - 1 }),
    channels: fc.uniqueArray(channel, { minLength: 1 }),
    resumesAt: fc.nat({ max: 50 }),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      channel,
      size: fc.constantFrom(1, 1_000, 20_000),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  fc.record({ do: fc.constant('add' as const), client, channel, hasSnapshot: fc.boolean() }),
  fc.record({
    do: fc.constantFrom(...(['stall', 'sip', 'drain', 'lose', 'close', 'expire', 'destroy'] as const)),
    client,
  }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
)

// Each count is part of the balance at least here.
const ALL_COUNTS: Step[] = [
  { do: 'open', options: 0, channels: ['a'], isFiltered: true },
  { do: 'open', options: 3, channels: ['a'], isFull: true },
  { do: 'open', options: 5, channels: ['a'] },
  { do: 'turn' },
  { do: 'publish', channel: 'a', size: 1, count: 5 },
  { do: 'turn' },
  { do: 'publish', channel: 'a', size: 1, count: 5 },
  { do: 'add', client: 0, channel: 'b', hasSnapshot: true },
  { do: 'publish', channel: 'a', size: 1, count: 5 },
  { do: 'turn' },
  { do: 'open', options: 0, channels: ['a'], resumesAt: 0 },
]

it('counts each event for each subscriber once, whatever its clients and its program do', async () => {
  const seen: Record<string, number> = {}
  const see = (counts: Readonly<Record<string, number>>) => {
    for (const [name, count] of Object.entries(counts)) seen[name] = (seen[name] ?? 0) + count
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const tally = new Tally({ hasGapEvents: false })
      const load = new Load()
      for (const each of steps) await load.run(each)
      await settled()
      // The events of a replay are counted at its end.
      if (!load.isReplaying) see(await tally.expectBalance())
      await load.end()
      see(await tally.expectBalance())
      tally.stop()
    }),
    { numRuns: 400, examples: [[ALL_COUNTS]] },
  )
  const { gaps, ...counts } = seen
  expect(gaps).toBe(0)
  expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([])
})

class Load {
  // Positions and gap events are not of the hub's publishers.
  readonly #hub = new Hub({ positions: false, gapEvent: false })
  readonly #ids: string[] = []
  readonly #clients: Array<ReturnType<typeof fakeStream>> = []

  get isReplaying(): boolean {
    return this.#clients.some(({ stream }) => stream._connection.holds > 0)
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'open':
        return this.#open(step)
      case 'publish':
        return this.#publish(step)
      case 'add':
        return this.#add(step)
      case 'turn':
        return settled()
      default:
        return this.#act(step)
    }
  }

  async end(): Promise<void> {
    for (const { stream } of this.#clients) stream.destroy()
    await settled()
  }

  #open({ options, channels, isFiltered, isFull = false, resumesAt }: Step & { do: 'open' }): void {
    const id = resumesAt === undefined ? undefined : this.#ids[resumesAt % this.#ids.length]
    const client = fakeStream(OPTIONS[options], id)
    client.transport.isFull = isFull
    this.#clients.push(client)
    const filter = ({ data }: { data?: unknown }) => Number.parseInt(String(data), 10) % 2 === 0
    this.#hub.subscribe(client.stream, channels, isFiltered ? { filter } : {})
  }

  #publish({ channel, size, count }: Step & { do: 'publish' }): void {
    for (let i = 0; i < count; i++) {
      const data = `${this.#ids.length + i}`.padEnd(size)
      const published = this.#hub.channel(channel, { conflate: channel === 'conflating' }).publish({ data })
      void published.then((id) => this.#ids.push(id))
    }
  }

  #add({ client, channel, hasSnapshot }: Step & { do: 'add' }): void {
    const { stream } = this.#at(client) ?? {}
    if (stream) this.#hub.subscribe(stream, channel, hasSnapshot ? { snapshot: async () => [] } : {})
  }

  async #act({ do: action, client }: Extract<Step, { client: number }>): Promise<void> {
    const { stream, transport } = this.#at(client) ?? {}
    if (!stream || !transport) return
    if (action === 'stall') transport.isFull = true
    else if (action === 'lose') transport.lose()
    else if (action === 'close') stream.close()
    else if (action === 'destroy') stream.destroy()
    else if (action === 'expire') stream._expired()
    else transport.drain({ isFull: action === 'sip' })
  }

  #at(client: number) {
    return this.#clients[client % this.#clients.length]
  }
}
