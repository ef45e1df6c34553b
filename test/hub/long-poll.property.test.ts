import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { SlowStore } from '../support/slow-store.ts'
import { nextTurn } from '../support/streams.ts'

const CHANNELS = ['a', 'b', 'c']

interface Setting {
  /** The turns that a read of the store takes, and the entries that it scans for a page. */
  turns: number
  inRow: number
  pageSize: number
  channels: string[]
  isFiltered: boolean
  hasSnapshot: boolean
  positions: 'event' | 'id' | false
  padding: number
}

type Step = { do: 'publish'; channel: string; times: number } | { do: 'poll' | 'tick' | 'turn' | 'hold' }

const setting: fc.Arbitrary<Setting> = fc.record({
  turns: fc.constantFrom(0, 1, 3),
  inRow: fc.constantFrom(2, 10_000),
  pageSize: fc.constantFrom(1, 3, 1_000),
  channels: fc.subarray(CHANNELS, { minLength: 1 }),
  isFiltered: fc.boolean(),
  hasSnapshot: fc.boolean(),
  positions: fc.constantFrom<Setting['positions'][]>('event', 'id', false),
  padding: fc.constantFrom(0, 0, 100_000),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      channel: fc.constantFrom(...CHANNELS),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom<'poll' | 'tick' | 'turn' | 'hold'>('poll', 'tick', 'turn', 'hold'),
    }),
  },
)

interface Page {
  events: Array<{ event: string; id?: string; data: string }>
  lastEventId: string | null
}

const isNoThird = ({ data }: { data?: unknown }) => Number.parseInt(data as string, 10) % 3 !== 0

async function* states() {
  yield { event: 'state', data: 'first' }
  await nextTurn()
  yield { event: 'state', data: 'last' }
}

/** A client that polls with the cursor of its last response, at most one request at a time. */
class PollClient {
  readonly received: string[] = []
  readonly states: string[] = []
  lastEventId: string | null = null
  #pending: Promise<void> | undefined
  readonly #respond: (request: Request) => Promise<Response>

  constructor(hub: Hub, { channels, isFiltered, hasSnapshot, pageSize }: Setting) {
    const options: SubscribeOptions = {
      ...(isFiltered && { filter: isNoThird }),
      ...(hasSnapshot && { snapshot: states }),
    }
    const handler = (stream: SseStream) => {
      for (const channel of channels) hub.subscribe(stream, channel, options)
    }
    this.#respond = sse(handler, { formats: ['json'], longPoll: { pageSize } })
  }

  get isPending(): boolean {
    return this.#pending !== undefined
  }

  poll(): void {
    this.#pending ??= this.#request().finally(() => {
      this.#pending = undefined
    })
  }

  async #request(): Promise<void> {
    const cursor = this.lastEventId === null ? '' : `&lastEventId=${this.lastEventId}`
    const response = await this.#respond(new Request(`http://127.0.0.1/?format=json${cursor}`))
    const { events, lastEventId } = (await response.json()) as Page
    this.lastEventId = lastEventId
    for (const { event, id, data } of events)
      if (event === 'message') this.received.push(id as string)
      else this.states.push(`${event} ${data}`)
  }
}

async function play(setting: Setting, steps: readonly Step[]): Promise<void> {
  // More than all steps together publish, because an evicted event is reported as a gap.
  const memory = new MemoryStore({ maxBytes: 2 ** 27 })
  const store = new SlowStore(memory, setting.turns, setting.inRow)
  const hub = new Hub({ store, positions: setting.positions })
  const client = new PollClient(hub, setting)
  let published = 0
  const publish = (channel: string) =>
    hub.channel(channel).publish({ data: `${published++}`.padEnd(setting.padding) })
  const advance = async (ms: number) => {
    vi.advanceTimersByTime(ms)
    await nextTurn()
  }
  const rest = async (isDone: () => boolean) => {
    for (let turn = 0; turn < 2_000 && !(isDone() && !store.isBusy); turn++) await advance(100)
  }
  // The first poll gives the client its cursor.
  client.poll()
  await rest(() => !client.isPending)
  const start = SlowStore.numberOf(client.lastEventId as string)
  for (const step of steps) {
    if (step.do === 'publish') for (let i = 0; i < step.times; i++) void publish(step.channel)
    else if (step.do === 'poll') client.poll()
    else if (step.do === 'tick') await advance(100)
    else if (step.do === 'turn') await nextTurn()
    else await advance(25_000)
  }
  await rest(() => !client.isPending)
  const owed = store.entries
    .slice(start)
    .filter(
      ({ channel, event }) => setting.channels.includes(channel) && (!setting.isFiltered || isNoThird(event)),
    )
  // Enough for pages of one event.
  for (let polls = 0; polls <= owed.length && client.received.length < owed.length; polls++) {
    client.poll()
    await rest(() => !client.isPending)
  }
  expect(client.received).toEqual(owed.map(({ id }) => id))
  expect(client.states).toEqual(setting.hasSnapshot ? ['state first', 'state last'] : [])
  await hub.shutdown()
}

describe('a client that polls with the cursor of its last response', () => {
  beforeAll(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
  afterAll(() => void vi.useRealTimers())

  it('gets each event after its first cursor once and in order', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.noBias(fc.array(step, { maxLength: 30, size: 'max' })),
        setting,
        async (steps, setting) => {
          await play(setting, steps)
        },
      ),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 100) },
    )
  })
})
