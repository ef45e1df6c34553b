import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { LogEntry } from '../../src/stores/log-entry.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { HubClient } from '../support/hub-client.ts'
import { Ledger } from '../support/ledger.ts'
import { SlowLog } from '../support/slow-log.ts'
import { nextTurn } from '../support/streams.ts'

const CHANNELS = ['a', 'b', 'c']
const MANY = 10_000

interface Kind {
  /** How much of what was published before the client has seen: without any, it is a new one. */
  has: number
  channels: string[]
  isFiltered: boolean
  hasSnapshot: boolean
  options: SseStreamOptions
}

interface Setting {
  kinds: Kind[]
  /** The channels of what was published before. */
  history: string[]
  /** What the log keeps. */
  maxEvents: number
  /** How long the log takes for an answer, and how many entries in a row it looks at for it. */
  turns: number
  inRow: number
  /** Large events make a replay wait for the client. */
  padding: number
}

type ClientStep =
  // `switch` leaves what is followed, and follows what is not.
  | { do: 'follow' | 'switch'; client: number; channel: string }
  // Off the network at any byte, for a while or to come back at once.
  | { do: 'cut' | 'return'; client: number; share: number }
  // The kernel is full; it takes what waits and is full again; it has room.
  | { do: 'connect' | 'stall' | 'sip' | 'drain'; client: number }

type Pause = 'tick' | 'turn' | 'second' | 'rest'

/** Without a pause, the next step comes in the same tick. */
type Step = { do: 'publish'; channel: string; times: number } | ClientStep | { do: Pause }

const oneOf = <Name extends string>(...names: Name[]) => fc.constantFrom(...names)
const channel = oneOf(...CHANNELS)

const kind: fc.Arbitrary<Kind> = fc.record({
  has: fc.nat(4),
  channels: fc.subarray(CHANNELS, { minLength: 1 }),
  isFiltered: fc.boolean(),
  hasSnapshot: fc.boolean(),
  options: fc.constantFrom<SseStreamOptions>(
    {},
    { maxBufferedEvents: 2 },
    { rateLimit: { eventsPerSecond: 100, burst: 2 } },
  ),
})

const setting: fc.Arbitrary<Setting> = fc.record({
  kinds: fc.array(kind, { minLength: 1, maxLength: 2 }),
  history: fc.array(channel, { maxLength: 12, size: 'max' }),
  maxEvents: fc.constantFrom(4, 10, MANY, MANY),
  turns: fc.constantFrom(0, 1, 3),
  inRow: fc.constantFrom(2, MANY),
  padding: fc.constantFrom(0, 0, 7_000),
})

const client = fc.nat(1)
const times = fc.integer({ min: 1, max: 4 })
const share = fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }))

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: oneOf('publish'), channel, times }) },
  {
    weight: 9,
    arbitrary: fc.record({ do: oneOf('switch', 'switch', 'switch', 'switch', 'follow'), client, channel }),
  },
  { weight: 3, arbitrary: fc.record({ do: oneOf('return', 'return', 'cut'), client, share }) },
  { weight: 4, arbitrary: fc.record({ do: oneOf('connect', 'stall', 'sip', 'drain'), client }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: oneOf('tick', 'tick', 'tick', 'turn', 'turn', 'turn', 'second', 'rest') }),
  },
)

// Without bias: most lists would be of a few steps.
const steps = fc.noBias(fc.array(step, { maxLength: 40, size: 'max' }))

const isNoThird = ({ data }: { data?: unknown }) => Number.parseInt(data as string, 10) % 3 !== 0

// It takes its time.
async function snapshot() {
  await nextTurn()
  return [{ event: 'gap', data: 'snapshot' }]
}

/** A client, and the books about what it is owed. */
class AuditedClient extends HubClient {
  readonly wrong: string[] = []
  ledger: Ledger | undefined
  readonly #openLedger: (lastEventId: string, channels: string[]) => Ledger
  readonly #options: SseStreamOptions

  constructor(hub: Hub, log: readonly LogEntry[], isEvicting: boolean, kind: Kind) {
    const { channels, isFiltered, hasSnapshot, options } = kind
    super(hub, channels, {
      filter: isFiltered ? isNoThird : undefined,
      onGap: hasSnapshot ? snapshot : undefined,
    })
    const filter = ({ event }: LogEntry) => !isFiltered || isNoThird(event)
    this.#openLedger = (lastEventId, channels) =>
      new Ledger({ log, isEvicting, lastEventId, channels, filter })
    this.#options = options
  }

  /** Whether there is a stream, and it takes more. */
  get isOpen(): boolean {
    return this.stream?.closed === false
  }

  override connect() {
    this.ledger = this.#openLedger(this.lastEventId, this.channels)
    return super.connect(this.#options)
  }

  override follow(channel: string): void {
    this.ledger?.follow(channel)
    super.follow(channel)
  }

  override leave(channel: string): void {
    this.ledger?.leave(channel)
    super.leave(channel)
  }

  override cut(share?: number, isAll = false) {
    if (this.stream?.closeReason === 'error') this.wrong.push('it ended with an error')
    const seen = super.cut(share)
    this.wrong.push(...(this.ledger?.check(seen, isAll) ?? []))
    this.ledger = undefined
    return seen
  }
}

class Play {
  readonly clients: readonly AuditedClient[]
  readonly #setting: Setting
  readonly #log: SlowLog
  readonly #hub: Hub
  #published = 0

  constructor(setting: Setting) {
    const { kinds, maxEvents, turns, inRow } = setting
    const log = new SlowLog(new MemoryStore({ maxEvents }), turns, inRow)
    const hub = new Hub({ store: log })
    const clients = kinds.map((kind) => new AuditedClient(hub, log.entries, maxEvents < MANY, kind))
    log.onEntry = () => {
      for (const { ledger } of clients) ledger?.published()
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
      case 'follow':
        client.follow(step.channel)
        break
      case 'switch':
        if (client.channels.includes(step.channel)) client.leave(step.channel)
        else client.follow(step.channel)
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

  async #pause(pause: Pause): Promise<void> {
    if (pause === 'turn') await nextTurn()
    if (pause === 'second') vi.advanceTimersByTime(1_000)
    if (pause === 'rest') await this.#rest()
  }

  /** Everybody takes what there is, until nothing more comes. */
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

  /** Everybody gets all there is; who was away, or was cut off, comes back for it. */
  async #end(): Promise<void> {
    await this.#rest()
    for (const client of this.clients) {
      client.cut(1, client.isOpen)
      client.connect()
      client.transport.isFull = true
    }
    await this.#rest()
    for (const client of this.clients) {
      // Nothing was live: what is replayed keeps to the bound.
      if (!client.isOpen) client.wrong.push(`it was cut off: ${client.stream?.closeReason}`)
      client.cut(1, true)
    }
  }
}

describe('whatever is published, followed, left, cut and resumed', () => {
  beforeAll(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
  afterAll(() => void vi.useRealTimers())

  it('a client has all it is owed, once and in order, or is told of a gap', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, setting, async (steps, setting) => {
        const play = new Play(setting)
        await play.run(steps)
        for (const { wrong } of play.clients) expect(wrong).toEqual([])
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 10_000) },
    )
  })
})
