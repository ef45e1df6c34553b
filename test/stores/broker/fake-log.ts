import { BrokerStore } from '../../../src/stores/broker/broker-store.ts'
import type {
  BrokerDriver,
  DriverOwner,
  RangeLimits,
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
}

const STEP = 10

/** A broker with a log, which records the reads and can hold their replies. */
export class FakeLog implements BrokerDriver {
  readonly reads: Read[] = []
  /** Awaited by each read before it replies. */
  hold: Promise<unknown> | undefined
  lookups = 0
  /** The bytes of the records in all replies. */
  bytes = 0
  readonly distance?: NonNullable<BrokerDriver['distance']>
  readonly back?: NonNullable<BrokerDriver['back']>
  readonly channelRange?: NonNullable<BrokerDriver['channelRange']>
  readonly #entries: Array<{ id: string; channel: string; record: string }>
  #owner!: DriverOwner

  constructor({ entries = 100, size = 10, channelOf = () => 'a', isNumbered = false }: FakeLogOptions = {}) {
    const record = JSON.stringify({ data: 'x'.repeat(size), isText: true })
    this.#entries = Array.from({ length: entries }, (_, at) => ({
      id: String((at + 1) * STEP),
      channel: channelOf(at + 1),
      record,
    }))
    if (!isNumbered) return
    this.distance = (after, upTo) => (Number(upTo) - Number(after)) / STEP
    this.back = (position, entries) => String(Math.max(0, Number(position) - entries * STEP))
    this.channelRange = (channel, after, limits, signal) => this.#range(after, limits, signal, channel)
  }

  async open(owner: DriverOwner, { entries }: { entries: number }): Promise<string> {
    this.#owner = owner
    owner._onState('ready')
    owner._onEntries(this.#entries.slice(-entries))
    return this.#entries.at(-1)?.id ?? '0'
  }

  async append(channel: string, record: string): Promise<string> {
    const id = String((this.#entries.length + 1) * STEP)
    this.#entries.push({ id, channel, record })
    queueMicrotask(() => this.#owner._onEntries([{ id, channel, record }]))
    return id
  }

  range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'> {
    return this.#range(after, limits, signal)
  }

  async has(position: string): Promise<boolean> {
    this.lookups += 1
    await this.hold
    return this.#entries.some(({ id }) => id === position)
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
    await Promise.race([this.hold, new Promise((_, reject) => signal.addEventListener('abort', reject))])
    signal.throwIfAborted()
    if (!this.#entries.some(({ id }) => id === after)) return 'gap'
    const all = this.#entries.filter(
      (entry) =>
        this.compare(entry.id, after) > 0 &&
        this.compare(entry.id, upTo) <= 0 &&
        (channel === undefined || entry.channel === channel),
    )
    let left = bytes
    const end = all.findIndex(({ record }, at) => {
      left -= record.length
      return at > 0 && (at === limit || left < 0)
    })
    const entries = end === -1 ? all : all.slice(0, end)
    this.bytes += entries.reduce((sum, { record }) => sum + record.length, 0)
    return { entries, end: end === -1 ? upTo : (entries.at(-1)?.id as string) }
  }
}

/** Opens a store on a log. It caches only the newest ten entries unless options say otherwise. */
export async function openStore(log: FakeLog, options: Partial<typeof BROKER_DEFAULTS> = {}) {
  const store = new BrokerStore(log, { ...BROKER_DEFAULTS, recentEvents: 10, ...options })
  store.open({ onEntry: () => {}, onLoss: () => {} })
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
