import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { SseError } from '../../../src/errors.ts'
import type { BrokerStore } from '../../../src/stores/broker/broker-store.ts'
import type { StoredEntry } from '../../../src/stores/broker/driver.ts'
import type { Page } from '../../../src/stores/event-store.ts'
import { nextTurn } from '../../support/streams.ts'
import { FakeLog, type FakeLogOptions, FakeReader, openStore } from './fake-log.ts'

const CHANNELS = ['a', 'b', 'c']
const SEEDS = 60
const STEPS = 120
// The last steps only finish what was begun. A run needs about 400 of them, and a client that hangs needs more than any
// limit.
const QUIET_STEPS = 10_000
// So small that segments are removed while clients wait.
const REPLAY_BYTES = 264 * 1024
// How many lookups of unknown positions a store makes before it refuses clients.
const LOOKUPS = 1_000
// Around the time after which an unread segment is removed, and times in which few lookups are granted.
const DURATIONS = [1, 1, 3, 50, 1_000, 2_500, 4_999, 5_000, 5_001, 20_000]
// How long a store keeps a segment that no client reads.
const KEPT_FOR = 5_000

type Random = (below: number) => number

/** Returns a sequence of numbers that a seed determines. */
function randomOf(seed: number): Random {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** A broker whose replies a test releases, in any order, and everything that it ever stored. */
class World {
  readonly log: FakeLog
  readonly ever: StoredEntry[] = []
  readonly lost = new Set<string>()
  readonly random: Random
  losses = 0
  readonly #replies: Array<{ resolve: () => void; reject: (error: Error) => void }> = []

  constructor(random: Random, options: FakeLogOptions) {
    this.random = random
    this.log = new FakeLog({ ...options, entries: 0 })
    for (let number = 0; number < 40; number++) this.add()
    // As far as a log in which channels are read alone.
    const { distance } = this.log
    if (distance) this.log.distance = (after, upTo) => 500 * distance(after, upTo)
    this.log.gate = () => new Promise<void>((resolve, reject) => void this.#replies.push({ resolve, reject }))
  }

  add(): void {
    this.ever.push(this.log.add(CHANNELS[this.random(CHANNELS.length)] as string))
  }

  lose(): void {
    this.losses += 1
    for (const { id } of this.log.truncate(this.random(15))) this.lost.add(id)
  }

  skip(): void {
    this.losses += 1
    this.log.skip()
  }

  reply(): void {
    const [reply] = this.#replies.splice(this.random(this.#replies.length), 1)
    if (this.random(30) === 0) reply?.reject(new Error('refused'))
    else reply?.resolve()
  }

  get isIdle(): boolean {
    return this.#replies.length === 0
  }
}

/** A client that reads from its position until it is live or has a gap, and checks each page. */
class Client {
  readonly reader = new FakeReader()
  readonly channels: readonly string[]
  position: string
  outcome: string | undefined
  readonly #world: World
  readonly #store: BrokerStore

  constructor(world: World, store: BrokerStore, position: string) {
    this.#world = world
    this.#store = store
    this.position = position
    const first = world.random(CHANNELS.length)
    this.channels = CHANNELS.slice(first, first + 1 + world.random(CHANNELS.length))
  }

  async run(): Promise<void> {
    this.outcome = await this.#replay().catch(({ code, message }: SseError) => code ?? message)
    // Like a hub, because another channel may still be read.
    this.reader.disconnect()
  }

  async #replay(): Promise<string> {
    for (;;) {
      this.reader.room = 1 + this.#world.random(200)
      // A position is evicted or lost before the read, or while the broker is read.
      const isKnownAtStart = this.#isKnown
      const { losses } = this.#world
      const result = this.#store.read(this.channels, this.position, 1 + this.#world.random(9), this.reader)
      const page = await result
      const isLossy = losses !== this.#world.losses
      if (page === 'gap') return isKnownAtStart && this.#isKnown && !isLossy ? 'false gap' : 'gap'
      this.#check(page, isLossy)
      this.position = page.upTo
      if (page === result && page.entries.length === 0) return 'live'
    }
  }

  get #isKnown(): boolean {
    return this.#world.log.hasPosition(this.position)
  }

  #check({ entries, upTo }: Exclude<Page, 'gap'>, isLossy: boolean): void {
    const { ever, lost } = this.#world
    const [after, end] = [Number(this.position), Number(upTo)]
    expect(end).toBeGreaterThanOrEqual(after)
    const between = ever.filter(({ id }) => Number(id) > after && Number(id) <= end)
    const wanted = between.filter(({ id, channel }) => this.channels.includes(channel) && !lost.has(id))
    const ids = entries.map(({ id }) => id)
    expect(isLossy ? ids.filter((id) => !lost.has(id)) : ids).toEqual(wanted.map(({ id }) => id))
  }
}

/** Exhausts the lookups of unknown positions, so that the next ones depend on the time. */
async function exhaustLookups(log: FakeLog, store: BrokerStore): Promise<void> {
  const { gate } = log
  log.gate = async () => {}
  for (let number = 0; number < LOOKUPS; number++)
    await store.read(CHANNELS, String(1_000_000 + number), 1, new FakeReader())
  log.gate = gate
}

/** Lets time pass between two turns of the event loop, like timers of Node.js. */
async function pass(duration: number): Promise<void> {
  await nextTurn()
  vi.advanceTimersByTime(duration)
}

async function play(seed: number, options: FakeLogOptions): Promise<string[]> {
  const random = randomOf(seed)
  const world = new World(random, { maxPage: 1 + random(8), ...options })
  const { log } = world
  const store = await openStore(log, { recentEvents: 1 + random(12), replayBytes: REPLAY_BYTES })
  if (random(10) === 0) await exhaustLookups(log, store)
  const clients: Client[] = []
  const runs: Array<Promise<void>> = []
  const anyOf = (values: readonly number[]) => values[random(values.length)] as number
  const connect = (position: string) => {
    const client = new Client(world, store, position)
    clients.push(client)
    runs.push(client.run())
  }
  const resume = () => {
    const known = world.ever[Math.max(0, world.ever.length - 1 - random(45))]?.id
    connect(random(12) === 0 ? String(random(1_000)) : (known as string))
  }
  const reconnect = () => {
    const client = clients[random(clients.length)]
    client?.reader.disconnect()
    if (client) connect(client.position)
  }
  const actions: Array<[weight: number, action: () => void]> = [
    [6, resume],
    [5, reconnect],
    [12, () => world.reply()],
    [4, () => world.add()],
    [4, () => log.deliver()],
    [2, () => log.evict(random(4))],
    [2, () => clients[random(clients.length)]?.reader.disconnect()],
    [1, () => (options.isNumbered ? world.skip() : world.lose())],
    [1, () => world.skip()],
    [10, () => {}],
  ]
  const all = actions.flatMap(([weight, action]) => Array<() => void>(weight).fill(action))
  for (let step = 0; step < STEPS; step++) {
    all[random(all.length)]?.()
    if (random(5) === 0) await pass(anyOf(DURATIONS))
    // Several actions may happen in one turn of the event loop.
    if (random(3) > 0) await nextTurn()
  }
  log.deliver()
  for (let step = 0; step < QUIET_STEPS && clients.some(({ outcome }) => !outcome); step++) {
    world.reply()
    if (random(5) === 0) await pass(anyOf(DURATIONS))
    await nextTurn()
  }
  const outcomes = clients.map(({ outcome }) => outcome ?? 'waits forever')
  if (!outcomes.includes('waits forever')) await Promise.all(runs)
  return [...outcomes, ...(await leftIn(world, store))]
}

/** Returns what a store still has without clients, after the time for which it keeps what it read. */
async function leftIn(world: World, store: BrokerStore): Promise<string[]> {
  // A read without clients is aborted, and its driver does not wait for the reply.
  while (!world.isIdle) world.reply()
  await pass(KEPT_FOR)
  await pass(KEPT_FOR)
  const { waiting, running, bytes } = store.reads
  const left = { waiting, running, bytes, timers: vi.getTimerCount() }
  return Object.entries(left).flatMap(([name, count]) => (count > 0 ? `${count} ${name} left` : []))
}

const OUTCOMES = ['ERR_SSE_OVERLOAD', 'disconnected', 'gap', 'live', 'refused']

// The time decides which segment is removed first, so that a seed would not determine the run.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

it.each<[string, FakeLogOptions]>([
  ['finds positions only by a lookup', {}],
  ['knows which positions were evicted', { knowsEvicted: true }],
  ['numbers its entries and reads a channel alone', { isNumbered: true }],
])(
  'clients of a broker that %s receive every event once, in order, and no false gap',
  async (_how, options) => {
    const found = new Set<string>()
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcomes = await play(seed, options)
      expect({ seed, outcomes: outcomes.filter((each) => !OUTCOMES.includes(each)) }).toEqual({
        seed,
        outcomes: [],
      })
      for (const outcome of outcomes) found.add(outcome)
    }
    expect([...found].sort()).toEqual(OUTCOMES)
  },
)
