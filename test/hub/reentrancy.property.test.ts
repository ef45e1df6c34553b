import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { HubClient } from '../support/hub-client.ts'
import { SlowStore } from '../support/slow-store.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const CHANNELS = ['a', 'b']
const CLIENTS = 12

const ACTIONS = [
  'publish',
  'connect',
  'close',
  'close',
  'destroy',
  'send',
  'subscribe',
  'stall',
  'drain',
] as const
// Several times, because most defects need a new client, an event and a filter in one turn.
const OFTEN = ['publish', 'publish', 'publish', 'connect', 'connect', 'turn'] as const
const STEPS = ['cut', 'turn', 'rest', 'other hub', ...OFTEN, ...ACTIONS] as const

interface Step {
  do: (typeof STEPS)[number]
  client: number
  channel: string
  share: number
}

const stepOf = (names: readonly Step['do'][]): fc.Arbitrary<Step> =>
  fc.record({
    do: fc.constantFrom(...names),
    client: fc.nat(CLIENTS - 1),
    channel: fc.constantFrom(...CHANNELS, 'c'),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })

/** Clients whose filters, and those of another hub, act on any client. */
class Scene {
  readonly store: SlowStore
  readonly clients: HubClient[]
  /** Where each client was new for the last time. */
  readonly starts = new Map<HubClient, number>()
  readonly #hub: Hub
  readonly #other = new Hub()
  readonly #actions: Step[]
  readonly #data: string
  #isActing = false

  /** `padding`: the size of each event. Large events make a replay wait for its client. */
  constructor(actions: readonly Step[], maxEvents: number, turns: number, padding: number) {
    this.#actions = [...actions]
    this.#data = 'event'.padEnd(padding)
    this.store = new SlowStore(new MemoryStore({ maxEvents }), turns, 3)
    this.#hub = new Hub({ store: this.store })
    const filter = () => this.#filter()
    this.clients = Array.from(
      { length: CLIENTS },
      (_, i) => new HubClient(this.#hub, CHANNELS, i % 2 ? { filter } : {}),
    )
    this.#other.subscribe(fakeStream().stream, 'other', { filter })
  }

  async run(step: Step): Promise<void> {
    const client = this.clients[step.client] as HubClient
    const { stream, transport } = client
    if (step.do === 'publish') void this.#hub.channel(step.channel).publish({ data: this.#data })
    if (step.do === 'connect' && !stream) this.#connect(client)
    if (step.do === 'close') stream?.close()
    if (step.do === 'destroy') stream?.destroy()
    if (step.do === 'send') stream?.send({ event: 'sent', data: '' })
    if (step.do === 'subscribe' && stream)
      this.#hub.subscribe(stream, step.channel, { filter: () => this.#filter() })
    if (step.do === 'stall') transport.isFull = true
    if (step.do === 'drain') transport.drain()
    if (step.do === 'other hub') void this.#other.channel('other').publish({ data: 'event' })
    if (step.do === 'cut') client.cut(step.share)
    if (step.do === 'turn') await nextTurn()
    if (step.do === 'rest') await settled()
  }

  /** Lets each client receive what it missed, without further actions. */
  async finish(): Promise<void> {
    this.#isActing = true
    for (const client of this.clients) {
      client.cut()
      this.#connect(client)
    }
    for (let i = 0; i < 10 || this.store.isBusy; i++) {
      await settled()
      for (const { transport } of this.clients) transport.drain()
    }
    for (const client of this.clients) client.cut()
  }

  #connect(client: HubClient): void {
    if (client.lastEventId === '') this.starts.set(client, SlowStore.numberOf(this.store.position))
    client.connect()
  }

  #filter(): boolean {
    const action = this.#isActing ? undefined : this.#actions.shift()
    this.#isActing = true
    if (action) void this.run(action)
    this.#isActing = action === undefined
    return true
  }
}

/** Returns the events between two positions of a client that it has not received, and that no gap reports. */
function missingOf(client: HubClient, { store, starts }: Scene): string[] {
  const missing: string[] = []
  let position = starts.get(client) as number
  for (const { event, id } of client.seen.filter((each) => each.id !== '' && each.event !== 'sent')) {
    const end = SlowStore.numberOf(id)
    const passed = store.entries.slice(position, event === 'position' ? end : end - 1)
    if (event !== 'gap')
      missing.push(...passed.filter((each) => CHANNELS.includes(each.channel)).map((each) => each.id))
    position = end
  }
  return missing
}

it('filters that change any stream cause no loss without a gap', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepOf(STEPS), { minLength: 60, maxLength: 120, size: 'max' }),
      fc.array(stepOf(ACTIONS), { minLength: 40, maxLength: 80, size: 'max' }),
      fc.constantFrom(12, 10_000),
      fc.nat(2),
      fc.constantFrom(0, 7_000),
      async (steps, actions, maxEvents, turns, padding) => {
        const scene = new Scene(actions, maxEvents, turns, padding)
        for (const step of steps) await scene.run(step)
        await scene.finish()
        for (const client of scene.clients) expect(missingOf(client, scene)).toEqual([])
      },
    ),
    { numRuns: 200 },
  )
})
