import type { LogEntry } from '../../src/stores/log-entry.ts'
import type { Seen } from './hub-client.ts'
import { SlowStore } from './slow-store.ts'

/**
 * How an entry is owed to a client. `due`: no later entry is received before it. `late`: no later entry of its channel is.
 * `free`: it may be received or not. None is received twice, and a gap may replace any of them.
 */
type Debt = 'due' | 'late' | 'free'

/** `completed`: the client unsubscribed while it was live, so it had all events of the channel. */
type Subscription = 'subscribed' | 'completed' | 'unsubscribed'

export interface LedgerOptions {
  /** All entries ever published. The first one has number 1. */
  log: readonly LogEntry[]
  /** Whether the store evicts entries. */
  isEvicting: boolean
  /** The client's last event id: '' for a new client. */
  lastEventId: string
  /** The channels it subscribes to at first. */
  channels: readonly string[]
  /** The entries it may see. */
  filter: (entry: LogEntry) => boolean
}

/** Accounts for one connection: the entries that the hub owes the client, and those that it received. */
export class Ledger {
  /** Whether the client has received all earlier entries, so that it receives new ones live. */
  isLive = false
  readonly #log: readonly LogEntry[]
  readonly #filter: (entry: LogEntry) => boolean
  readonly #isEvicting: boolean
  readonly #isResumed: boolean
  // A new client starts after the newest entry.
  readonly #start: number
  readonly #channels = new Map<string, Subscription>()
  readonly #debts = new Map<number, Debt>()
  // A client that has unsubscribed from all channels continues as a new one, so earlier gaps are not sent.
  #isNewAgain = false
  // How many gaps are allowed.
  #gaps: number

  constructor({ log, isEvicting, lastEventId, channels, filter }: LedgerOptions) {
    this.#log = log
    this.#filter = filter
    this.#isEvicting = isEvicting
    this.#gaps = isEvicting ? Number.POSITIVE_INFINITY : 0
    this.#isResumed = lastEventId !== ''
    this.#start = this.#isResumed ? SlowStore.numberOf(lastEventId) : log.length
    for (const channel of channels) {
      this.#channels.set(channel, 'subscribed')
      this.#owe(channel, 'due')
    }
  }

  /** Records that the newest entry was published. */
  published(): void {
    const number = this.#log.length
    if (this.#isSubscribed(this.#at(number)) && this.#filter(this.#at(number))) this.#debts.set(number, 'due')
  }

  /** Records a further channel, which starts at present. The events that the client missed there are `late`, or a gap. */
  subscribe(channel: string): void {
    const before = this.#channels.get(channel)
    if (before === 'subscribed') return
    this.#channels.set(channel, 'subscribed')
    this.isLive = false
    // Events that were published while the client was unsubscribed are not owed.
    this.#owe(channel, before === undefined && this.#getsGaps ? 'late' : 'free')
    const isMissing = this.#log.slice(this.#start).some((entry) => entry.channel === channel)
    if (isMissing && (this.#isNewAgain || (this.#isResumed && before !== 'completed'))) this.#gaps += 1
  }

  /** Records an unsubscription. Live events are still owed. The rest of a replay is missing after a new subscription. */
  unsubscribe(channel: string): void {
    if (this.#channels.get(channel) !== 'subscribed') return
    this.#channels.set(channel, this.isLive ? 'completed' : 'unsubscribed')
    const isLast = ![...this.#channels.values()].includes('subscribed')
    if (isLast) for (const each of this.#channels.keys()) this.#change(each, 'late', 'free')
    if (!this.isLive) this.#change(channel, 'due', this.#getsGaps ? 'late' : 'free')
    this.#isNewAgain ||= isLast
  }

  /** Returns the faults in the events that the client has received. With `isAll`, no further event is expected. */
  check(seen: readonly Seen[], isAll: boolean): string[] {
    const faults: string[] = []
    let at = this.#start
    let hasSnapshot = false
    for (const { event, data, id } of seen) {
      // A snapshot has no id. The position where the client continues is sent after it.
      if (data === 'snapshot') {
        faults.push(...this.#excuse(at))
        hasSnapshot = true
        continue
      }
      const number = SlowStore.numberOf(id)
      if (number < at) faults.push(`${event} ${number} arrived after ${at}`)
      if (event === 'message') faults.push(...this.#pay(number, data))
      else if (hasSnapshot) faults.push(...this.#forgive(number))
      else if (event === 'gap') faults.push(...this.#excuse(number))
      else faults.push(...this.#skip(number))
      hasSnapshot = false
      at = number
    }
    if (isAll) for (const lost of this.#lost()) faults.push(`${lost} did not arrive`)
    return faults
  }

  get #getsGaps(): boolean {
    return this.#isResumed && !this.#isNewAgain
  }

  #at(number: number): LogEntry {
    return this.#log[number - 1] as LogEntry
  }

  #isSubscribed({ channel }: LogEntry): boolean {
    return this.#channels.get(channel) === 'subscribed'
  }

  #owe(channel: string, debt: Debt): void {
    for (let number = this.#start + 1; number <= this.#log.length; number++) {
      const entry = this.#at(number)
      if (entry.channel === channel && !this.#debts.has(number) && this.#filter(entry))
        this.#debts.set(number, debt)
    }
  }

  #change(channel: string, from: Debt, to: Debt): void {
    for (const [number, debt] of this.#debts)
      if (debt === from && this.#at(number).channel === channel) this.#debts.set(number, to)
  }

  *#pay(number: number, data: string): Iterable<string> {
    const { channel, event } = this.#at(number)
    if (event.data !== data) yield `${number} arrived as ${data.trimEnd()}`
    if (!this.#debts.delete(number)) yield `${number} arrived twice, or was not owed`
    for (const [lost, debt] of this.#debts) {
      const isBefore = debt === 'due' || (debt === 'late' && this.#at(lost).channel === channel)
      if (lost < number && isBefore) yield `${lost} did not arrive before ${number}`
    }
  }

  // A client that is cut off at a position resumes after it, so that it never receives an earlier entry.
  *#skip(number: number): Iterable<string> {
    for (const [lost, debt] of this.#debts)
      if (lost <= number && debt === 'due') yield `the position ${number} skips ${lost}`
  }

  // If nothing is evicted, a gap may only replace late entries.
  *#excuse(number: number): Iterable<string> {
    if (this.#gaps-- === 0) yield `the gap up to ${number} was not allowed`
    yield* this.#forgive(number)
  }

  *#forgive(number: number): Iterable<string> {
    for (const [lost, debt] of this.#debts) {
      if (lost > number) continue
      this.#debts.delete(lost)
      if (debt === 'due' && !this.#isEvicting) yield `the gap up to ${number} skips ${lost}`
    }
  }

  *#lost(): Iterable<number> {
    for (const [number, debt] of this.#debts)
      if (debt === 'due' || (debt === 'late' && this.#isSubscribed(this.#at(number)))) yield number
  }
}
