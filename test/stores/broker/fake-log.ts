import { onTestFinished, vi } from 'vitest'
import { BrokerStore } from '../../../src/stores/broker/broker-store.ts'
import type {
  BrokerDriver,
  DriverOwner,
  RangeLimits,
  StoredEntry,
  StoredRange,
} from '../../../src/stores/broker/driver.ts'
import { BROKER_DEFAULTS } from '../../../src/stores/broker/options.ts'
import type { History, StoreReader } from '../../../src/stores/event-store.ts'
import type { LogEntry } from '../../../src/stores/log-entry.ts'

/** A read that a driver was called for. */
export interface Read {
  readonly channel?: string
  readonly after: number
  readonly upTo: number
  readonly signal: AbortSignal
}

export interface FakeLogOptions {
  /** How many entries the broker has. Their ids are 10, 20, 30 and so on. */
  entries?: number
  /** Size of each event's data. */
  size?: number
  /** The channel of the entry with a number, counted from 1. Default: `a`. */
  channelOf?: (number: number) => string
  /** Whether the broker numbers its entries, and can read a channel alone. */
  isNumbered?: boolean
  /** How many entries a read returns at most, whatever its limits. */
  maxPage?: number
  /** Whether positions before the first entry are known to be evicted once one was looked up. */
  knowsEvicted?: boolean
}

const STEP = 10

/** A broker with a log, which records the reads and can hold their replies. */
export class FakeLog implements BrokerDriver {
  readonly reads: Read[] = []
  /** Awaited by each read before it replies. */
  hold: Promise<unknown> | undefined
  /** Called by each read before it reads, and before it replies. Awaited. */
  gate: () => Promise<unknown> = async () => {}
  lookups = 0
  /** The bytes of the records in all replies. */
  bytes = 0
  distance?: NonNullable<BrokerDriver['distance']>
  readonly back?: NonNullable<BrokerDriver['back']>
  readonly channelRange?: NonNullable<BrokerDriver['channelRange']>
  readonly isEvicted?: NonNullable<BrokerDriver['isEvicted']>
  readonly #entries: StoredEntry[] = []
  readonly #maxPage: number
  // How many of the newest entries were not delivered yet.
  #undelivered = 0
  #newest = 0
  // The first entry, when a position was last looked up.
  #known = 0
  #owner!: DriverOwner

  constructor({
    entries = 100,
    size = 10,
    channelOf = () => 'a',
    isNumbered = false,
    maxPage = Number.POSITIVE_INFINITY,
    knowsEvicted = false,
  }: FakeLogOptions = {}) {
    const record = JSON.stringify({ data: 'x'.repeat(size), isText: true })
    this.#maxPage = maxPage
    for (let number = 1; number <= entries; number++) this.add(channelOf(number), record)
    if (knowsEvicted) this.isEvicted = (position) => Number(position) < this.#known
    if (!isNumbered) return
    this.distance = (after, upTo) => (Number(upTo) - Number(after)) / STEP
    this.back = (position, entries) => String(Math.max(0, Number(position) - entries * STEP))
    this.channelRange = (channel, after, limits, signal) => this.#range(after, limits, signal, channel)
  }

  async open(owner: DriverOwner, { entries }: { entries: number }): Promise<string> {
    this.#owner = owner
    owner._onState('ready')
    this.#undelivered = 0
    owner._onEntries(this.#entries.slice(-entries))
    return this.#entries.at(-1)?.id ?? '0'
  }

  async append(channel: string, record: string): Promise<string> {
    const { id } = this.add(channel, record)
    queueMicrotask(() => this.deliver())
    return id
  }

  /** Stores an entry without delivering it. */
  add(channel: string, record = JSON.stringify({ data: 'x', isText: true })): StoredEntry {
    this.#newest += STEP
    const entry = { id: String(this.#newest), channel, record }
    this.#entries.push(entry)
    this.#undelivered += 1
    return entry
  }

  /** Delivers the entries that were not delivered yet. */
  deliver(): void {
    const entries = this.#undelivered > 0 ? this.#entries.slice(-this.#undelivered) : []
    this.#undelivered = 0
    this.#owner._onEntries(entries)
  }

  /** Removes the oldest entries. At least one remains, and what was not delivered. */
  evict(count: number): void {
    this.#entries.splice(0, Math.min(count, this.#entries.length - Math.max(1, this.#undelivered)))
  }

  /** Loses up to `count` of the newest entries. At least one remains. Returns the lost ones. */
  truncate(count: number): StoredEntry[] {
    const lost = this.#entries.splice(Math.max(1, this.#entries.length - count))
    this.skip()
    return lost
  }

  /** Reports the entries as lost that were not delivered yet. The log has them. */
  skip(): void {
    this.#undelivered = 0
    this.#known = 0
    this.lose((this.#entries.at(-1) as StoredEntry).id)
  }

  /** Whether an entry has a position, or the entry after it is numbered next. */
  hasPosition(position: string): boolean {
    const [first] = this.#entries
    if (this.distance && Number(position) % STEP === 0 && first)
      return Number(position) >= Number(first.id) - STEP && Number(position) <= this.#newest
    return this.#entries.some(({ id }) => id === position)
  }

  range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'> {
    return this.#range(after, limits, signal)
  }

  async has(position: string): Promise<boolean> {
    this.lookups += 1
    await this.hold
    await this.gate()
    return this.hasPosition(position)
  }

  historyBefore = async (position: string): Promise<History> => ({ after: position, isIncomplete: true })
  oldest = async () => ({ position: String(STEP), isFirst: true })
  isId = (text: string) => /^\d+$/.test(text)
  compare = (a: string, b: string) => Number(a) - Number(b)
  async close(): Promise<void> {}

  lose(position: string): void {
    this.#owner._onLoss(position)
  }

  async #range(
    after: string,
    { upTo, entries: limit, bytes }: RangeLimits,
    signal: AbortSignal,
    channel?: string,
  ): Promise<StoredRange | 'gap'> {
    this.reads.push({ ...(channel && { channel }), after: Number(after), upTo: Number(upTo), signal })
    const aborted = new Promise((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
    )
    await Promise.race([Promise.all([this.hold, this.gate()]), aborted])
    signal.throwIfAborted()
    if (!this.hasPosition(after)) {
      this.#known = Number(this.#entries[0]?.id)
      return 'gap'
    }
    const all = this.#entries.filter(
      (entry) =>
        this.compare(entry.id, after) > 0 &&
        this.compare(entry.id, upTo) <= 0 &&
        (channel === undefined || entry.channel === channel),
    )
    let left = bytes
    const end = all.findIndex(({ record }, at) => {
      left -= record.length
      return at > 0 && (at === Math.min(limit, this.#maxPage) || left < 0)
    })
    const entries = end === -1 ? all : all.slice(0, end)
    this.bytes += entries.reduce((sum, { record }) => sum + record.length, 0)
    // The log may change before the reply arrives.
    await Promise.race([this.gate(), aborted])
    return { entries, end: end === -1 ? upTo : (entries.at(-1)?.id as string) }
  }
}

/**
 * Opens a store on a log until the end of the test. It caches only the newest ten entries unless options say otherwise.
 */
export async function openStore(log: FakeLog, options: Partial<typeof BROKER_DEFAULTS> = {}) {
  const store = new BrokerStore(log, { ...BROKER_DEFAULTS, recentEvents: 10, ...options })
  store.open({ onEntry: () => {}, onLoss: () => {} })
  // Its timer would otherwise run in a later test, and start another one there.
  onTestFinished(() => store.close())
  await store.ready
  return store
}

/** Reads like one client. */
export class FakeReader implements StoreReader {
  room = 64 * 1024
  readonly #controller = new AbortController()

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  disconnect(): void {
    this.#controller.abort(new Error('disconnected'))
  }

  /** Reads from a position until the client is live, and returns the entries of some channels, or `'gap'`. */
  async replay(
    store: BrokerStore,
    after: string | number,
    channels: readonly string[] = ['a'],
  ): Promise<LogEntry[] | 'gap'> {
    const found: LogEntry[] = []
    for (let position = String(after); ; ) {
      const result = store.read(channels, position, 500, this)
      const page = await result
      if (page === 'gap') return page
      if (page === result && page.entries.length === 0) return found
      found.push(...page.entries)
      position = page.upTo
    }
  }
}

/** Ids of the entries after a position, up to the newest one. */
export function idsAfter(position: number, entries: number): string[] {
  const first = Math.floor(position / 10) + 1
  return Array.from({ length: entries - first + 1 }, (_, at) => String((first + at) * 10))
}

export const idsOf = (entries: Array<{ id: string }> | 'gap') =>
  entries === 'gap' ? entries : entries.map(({ id }) => id)

/** Stops the clock, because what was read is kept for 5 s, which a busy machine may need for a test. */
export function stopClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
}
