import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { From, Snapshot } from '../../src/hub/subscribe-options.ts'
import type { LogEntry } from '../../src/stores/log-entry.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { HubClient } from '../support/hub-client.ts'
import { Ledger } from '../support/ledger.ts'
import { SlowStore } from '../support/slow-store.ts'
import { nextTurn } from '../support/streams.ts'

const CHANNELS = ['a', 'b', 'c']
const MANY = 10_000

interface Kind {
  /** The number of earlier events that the client has seen. With 0 it is a new client. */
  has: number
  channels: string[]
  isFiltered: boolean
  /** What is sent after a gap, instead of the gap event, and first to a new client. */
  sends: 'nothing' | 'onGap' | 'snapshot'
  from: From | undefined
  options: SseStreamOptions
}

interface Setting {
  kinds: Kind[]
  /** The channels of the events published before the first step. */
  history: string[]
  /** The number of events that the store keeps. */
  maxEvents: number
  /**
   * The turns that a read of the store takes, the entries that it scans for a page, and whether it scans at the end.
   */
  turns: number
  inRow: number
  isLate: boolean
  /** The padding of each event. Large events make a replay wait for the client. */
  padding: number
  /** Whether the store can be disconnected, so that it loses events. */
  isLossy: boolean
}

type ClientStep =
  // `switch` unsubscribes a subscribed channel and subscribes another one.
  | { do: 'subscribe' | 'switch'; client: number; channel: string }
  // The connection is cut at any byte. `return` reconnects at once.
  | { do: 'cut' | 'return'; client: number; share: number }
  // `stall`: the kernel is full. `sip`: it accepts the queued events and is full again. `drain`: it has room.
  | { do: 'connect' | 'stall' | 'sip' | 'drain'; client: number }

type Pause = 'tick' | 'turn' | 'second' | 'rest'

/** Without a pause, the next step runs in the same tick. */
type Step =
  | { do: 'publish'; channel: string; times: number }
  | ClientStep
  | { do: Pause }
  | { do: 'disconnect' | 'reconnect' }

const oneOf = <Name extends string>(...names: Name[]) => fc.constantFrom(...names)
const channel = oneOf(...CHANNELS)

const kind: fc.Arbitrary<Kind> = fc.record({
  has: fc.nat(4),
  channels: fc.subarray(CHANNELS, { minLength: 1 }),
  isFiltered: fc.boolean(),
  sends: fc.constantFrom<Kind['sends']>('nothing', 'onGap', 'snapshot'),
  from: fc.constantFrom<Kind['from'][]>(undefined, undefined, 'start', { last: 3 }),
  options: fc.constantFrom<SseStreamOptions>(
    {},
    { maxBufferedEvents: 2 },
    { maxBufferedBytes: 20_000 },
    { rateLimit: { eventsPerSecond: 100, burst: 2 } },
  ),
})

const setting: fc.Arbitrary<Setting> = fc.record({
  kinds: fc.array(kind, { minLength: 1, maxLength: 2 }),
  history: fc.array(channel, { maxLength: 12, size: 'max' }),
  maxEvents: fc.constantFrom(4, 10, MANY, MANY),
  turns: fc.constantFrom(0, 1, 3),
  inRow: fc.constantFrom(2, MANY),
  isLate: fc.boolean(),
  padding: fc.constantFrom(0, 0, 3_000, 7_000),
  isLossy: fc.boolean(),
})

const client = fc.nat(1)
const times = fc.integer({ min: 1, max: 4 })
const share = fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: oneOf('publish'), channel, times }) },
  {
    weight: 9,
    arbitrary: fc.record({ do: oneOf('switch', 'switch', 'switch', 'switch', 'subscribe'), client, channel }),
  },
  { weight: 3, arbitrary: fc.record({ do: oneOf('return', 'return', 'cut'), client, share }) },
  { weight: 4, arbitrary: fc.record({ do: oneOf('connect', 'stall', 'sip', 'drain'), client }) },
  { weight: 3, arbitrary: fc.record({ do: oneOf('disconnect', 'reconnect', 'reconnect') }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: oneOf('tick', 'tick', 'tick', 'turn', 'turn', 'turn', 'second', 'rest') }),
  },
)

// With bias, most lists would have only a few steps.
const steps = fc.noBias(fc.array(step, { maxLength: 40, size: 'max' }))

const isNoThird = ({ data }: { data?: unknown }) => Number.parseInt(data as string, 10) % 3 !== 0

// Asynchronous, so that events are published meanwhile.
async function onGap() {
  await nextTurn()
  return [{ event: 'gap', data: 'snapshot' }]
}

const snapshot: Snapshot = async (_stream, gap) => (gap ? onGap() : (await onGap()).map(toState))
const toState = () => ({ event: 'state', data: 'state' })

/** A client with a ledger of the events that the hub owes it. */
class AuditedClient extends HubClient {
  readonly wrong: string[] = []
  ledger: Ledger | undefined
  readonly #openLedger: (lastEventId: string, channels: string[]) => Ledger
  readonly #options: SseStreamOptions

  constructor(hub: Hub, store: SlowStore, isEvicting: boolean, kind: Kind) {
    const { channels, isFiltered, sends, from, options } = kind
    super(hub, channels, {
      filter: isFiltered ? isNoThird : undefined,
      onGap: sends === 'onGap' ? onGap : undefined,
      snapshot: sends === 'snapshot' ? snapshot : undefined,
      from,
    })
    const hasSnapshot = sends === 'snapshot'
    const filter = ({ event }: LogEntry) => !isFiltered || isNoThird(event)
    this.#openLedger = (lastEventId, channels) => {
      const present = SlowStore.numberOf(store.position)
      const log = store.entries
      return new Ledger({ log, present, isEvicting, lastEventId, channels, filter, from, hasSnapshot })
    }
    this.#options = options
  }

  /** Whether the client has an open stream. */
  get isOpen(): boolean {
    return this.stream?.closed === false
  }

  override connect() {
    this.ledger = this.#openLedger(this.lastEventId, this.channels)
    return super.connect(this.#options)
  }

  override subscribe(channel: string): void {
    this.ledger?.subscribe(channel)
    super.subscribe(channel)
  }

  override unsubscribe(channel: string): void {
    this.ledger?.unsubscribe(channel)
    super.unsubscribe(channel)
  }

  override cut(share?: number, isAll = false) {
    if (this.stream?.closeReason === 'error') this.wrong.push('the stream ended with an error')
    const seen = super.cut(share)
    this.wrong.push(...(this.ledger?.check(seen, isAll) ?? []))
    this.ledger = undefined
    return seen
  }
}

class Play {
  readonly clients: readonly AuditedClient[]
  readonly #setting: Setting
  readonly #log: SlowStore
  readonly #hub: Hub
  #published = 0

  constructor(setting: Setting) {
    const { kinds, maxEvents, turns, inRow, isLate } = setting
    const log = new SlowStore(new MemoryStore({ maxEvents }), turns, inRow, isLate)
    const hub = new Hub({ store: log })
    const clients = kinds.map((kind) => new AuditedClient(hub, log, maxEvents < MANY, kind))
    log.onEntry = () => {
      for (const { ledger } of clients) ledger?.published(log.isDisconnected)
    }
    this.clients = clients
    this.#setting = setting
    this.#log = log
    this.#hub = hub
  }

  async run(steps: readonly Step[]): Promise<void> {
    const { history, kinds } = this.#setting
    const ids = await Promise.all(history.map((channel) => this.#publish(channel)))
    for (const [i, client] of this.clients.entries()) {
      client.lastEventId = ids[(kinds[i] as Kind).has - 1] ?? ''
      client.connect()
    }
    for (const step of steps) {
      if ('client' in step) this.#move(step)
      else if (step.do === 'publish') for (let i = 0; i < step.times; i++) void this.#publish(step.channel)
      else if (step.do === 'disconnect') this.#disconnect()
      else if (step.do === 'reconnect') this.#reconnect()
      else await this.#pause(step.do)
    }
    await this.#end()
  }

  #publish(channel: string): Promise<string> {
    const data = `${this.#published++}${' '.repeat(this.#setting.padding)}`
    return this.#hub.channel(channel).publish({ data })
  }

  #move(step: ClientStep): void {
    const client = this.clients[step.client % this.clients.length] as AuditedClient
    switch (step.do) {
      case 'subscribe':
        client.subscribe(step.channel)
        break
      case 'switch':
        if (client.channels.includes(step.channel)) client.unsubscribe(step.channel)
        else client.subscribe(step.channel)
        break
      case 'cut':
        client.cut(step.share)
        break
      case 'return':
        client.cut(step.share)
        client.connect()
        break
      case 'connect':
        if (client.isOpen) break
        client.cut()
        client.connect()
        break
      case 'stall':
        client.transport.isFull = true
        break
      case 'sip':
        client.transport.drain()
        client.transport.isFull = true
        break
      case 'drain':
        client.transport.drain()
    }
  }

  #disconnect(): void {
    if (this.#setting.isLossy) this.#log.disconnect()
  }

  #reconnect(): void {
    const lostUpTo = this.#log.reconnect()
    for (const { ledger } of this.clients) ledger?.lost(lostUpTo)
  }

  async #pause(pause: Pause): Promise<void> {
    if (pause === 'turn') await nextTurn()
    if (pause === 'second') vi.advanceTimersByTime(1_000)
    if (pause === 'rest') await this.#rest()
  }

  /** Drains every client until nothing more is sent. */
  async #rest(): Promise<void> {
    const written = () => this.clients.reduce((sum, { transport }) => sum + transport.writes.length, 0)
    for (let quiet = 0, rounds = 0; quiet < 4 && rounds < 1_000; rounds++) {
      const before = written()
      vi.advanceTimersByTime(100)
      await nextTurn()
      for (const { transport } of this.clients) if (transport.isFull) transport.drain()
      quiet = written() === before && !this.#log.isBusy ? quiet + 1 : 0
    }
    for (const { ledger, isOpen } of this.clients) if (ledger && isOpen) ledger.isLive = true
  }

  /** Delivers all events to every client. Clients that are disconnected reconnect for them. */
  async #end(): Promise<void> {
    this.#reconnect()
    await this.#rest()
    for (const client of this.clients) {
      client.cut(1, client.isOpen)
      client.connect()
      client.transport.isFull = true
    }
    await this.#rest()
    for (const client of this.clients) {
      // A replay never exceeds the bound of the queue, so no stream may have been closed.
      if (!client.isOpen) client.wrong.push(`the stream was closed: ${client.stream?.closeReason}`)
      client.cut(1, true)
    }
  }
}

describe('a client in a random sequence of publishes, subscriptions and cuts', () => {
  beforeAll(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
  afterAll(() => void vi.useRealTimers())

  it('gets each event of its channels once and in order, or a gap event', {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, setting, async (steps, setting) => {
        const play = new Play(setting)
        await play.run(steps)
        for (const { wrong } of play.clients) expect(wrong).toEqual([])
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 300) },
    )
  })
})
