import type { From } from '../../src/hub/subscribe-options.ts'
import type { LogEntry } from '../../src/stores/log-entry.ts'
import type { Seen } from './hub-client.ts'
import { SlowStore } from './slow-store.ts'

/**
 * How an entry is owed to a client. `due`: no later entry is received before it. `late`: no later entry of its channel
 * is. `free`: it may be received or not. None is received twice, and a gap may replace any of them.
 */
type Debt = 'due' | 'late' | 'free'

/** `completed`: the client unsubscribed while it was live, so it had all events of the channel. */
type Subscription = 'subscribed' | 'completed' | 'unsubscribed'

export interface LedgerOptions {
  /** All entries ever published. The first one has number 1. */
  log: readonly LogEntry[]
  /** The number of the newest entry that the hub has received. */
  present: number
  /** Whether the store evicts entries. */
  isEvicting: boolean
  /** The client's last event id: '' for a new client. */
  lastEventId: string
  /** The channels it subscribes to at first. */
  channels: readonly string[]
  /** Where a new client starts on these channels. */
  from?: From | undefined
  /** Whether a new client receives a snapshot first. */
  hasSnapshot?: boolean | undefined
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
  readonly #hasSnapshot: boolean
  readonly #from: From
  // The newest entry that the hub had received at the start.
  readonly #present: number
  // The entries after it may be received.
  readonly #start: number
  // The channels of which a client without a position receives earlier entries.
  readonly #withHistory: ReadonlySet<string>
  readonly #channels = new Map<string, Subscription>()
  readonly #debts = new Map<number, Debt>()
  // A client that has unsubscribed from all channels continues as a new one, so earlier gaps are not sent.
  #isNewAgain = false
  // How many gaps are allowed.
  #gaps: number
  // A gap may replace all entries up to this number, because the store has lost some of them.
  #lostUpTo = 0
  // Entries that the hub has not received.
  readonly #hidden = new Set<number>()

  constructor(options: LedgerOptions) {
    const { log, present, isEvicting, lastEventId, channels, filter } = options
    const { from = 'now', hasSnapshot = false } = options
    this.#log = log
    this.#filter = filter
    this.#isEvicting = isEvicting
    this.#gaps = isEvicting ? Number.POSITIVE_INFINITY : 0
    this.#isResumed = lastEventId !== ''
    this.#hasSnapshot = hasSnapshot
    this.#from = from
    this.#present = present
    for (let number = present + 1; number <= log.length; number++) this.#hidden.add(number)
    this.#withHistory = new Set(from === 'now' ? [] : channels)
    const first = from === 'now' ? present : 0
    this.#start = this.#isResumed ? SlowStore.numberOf(lastEventId) : first
    for (const channel of channels) {
      this.#channels.set(channel, 'subscribed')
      // Events that are published before the store is read count among the newest ones.
      this.#owe(channel, this.#isResumed || from === 'start' ? 'due' : 'free')
    }
  }

  /** Records that the newest entry was published. `isHidden`: the hub has not received it. */
  published(isHidden: boolean): void {
    const number = this.#log.length
    if (isHidden) this.#hidden.add(number)
    if (this.#isSubscribed(this.#at(number)) && this.#filter(this.#at(number))) this.#debts.set(number, 'due')
  }

  /** Records that the store may have lost entries up to a number. */
  lost(upTo: number): void {
    if (upTo === 0) return
    this.#lostUpTo = upTo
    this.#hidden.clear()
    this.#gaps = Number.POSITIVE_INFINITY
    this.isLive = false
  }

  /**
   * Records a further channel, which starts at present. The events that the client missed there are `late`, or a gap.
   */
  subscribe(channel: string): void {
    const before = this.#channels.get(channel)
    // A snapshot is sent for each subscription, before further events.
    if (before === 'subscribed' && this.#hasSnapshot) this.isLive = false
    if (before === 'subscribed') return
    this.#channels.set(channel, 'subscribed')
    this.isLive = false
    // Events that were published while the client was unsubscribed are not owed.
    this.#owe(channel, before === undefined ? this.#lateDebt : 'free')
    const isMissing = this.#log.slice(this.#start).some((entry) => entry.channel === channel)
    if (isMissing && (this.#isNewAgain || (this.#isResumed && before !== 'completed'))) this.#gaps += 1
  }

  /**
   * Records an unsubscription. Live events are still owed. The rest of a replay is missing after a new subscription.
   */
  unsubscribe(channel: string): void {
    if (this.#channels.get(channel) !== 'subscribed') return
    this.#channels.set(channel, this.isLive ? 'completed' : 'unsubscribed')
    const isLast = ![...this.#channels.values()].includes('subscribed')
    if (isLast) for (const each of this.#channels.keys()) this.#change(each, 'late', 'free')
    if (!this.isLive) this.#change(channel, 'due', this.#lateDebt)
    for (const number of this.#hidden)
      if (this.#debts.has(number) && this.#at(number).channel === channel) this.#debts.set(number, 'free')
    this.#isNewAgain ||= isLast
  }

  /** Returns the faults in the events that the client has received. With `isAll`, no further event is expected. */
  check(seen: readonly Seen[], isAll: boolean): string[] {
    const faults: string[] = []
    let at = this.#start
    let hasSnapshot = false
    let hasState = false
    for (const { event, data, id } of seen) {
      // A new client whose history is incomplete receives the snapshot of a gap.
      hasState ||= data === 'state' || data === 'snapshot'
      if (data === 'state') continue
      // A snapshot after a gap has no id. The position where the client continues is sent after it.
      if (data === 'snapshot') {
        faults.push(...this.#excuse(at))
        hasSnapshot = true
        continue
      }
      const number = SlowStore.numberOf(id)
      const isGap = event === 'gap' || hasSnapshot
      // After a gap, the client receives the history again.
      if (isGap && number < at && this.#from !== 'now') this.#repeat(number)
      else if (number < at) faults.push(`${event} ${number} arrived after ${at}`)
      if (event === 'message') faults.push(...this.#pay(number, data))
      else if (hasSnapshot) faults.push(...this.#forgive(number))
      else if (event === 'gap') faults.push(...this.#excuse(number))
      else faults.push(...this.#skip(number))
      hasSnapshot = false
      at = number
    }
    const isOwedState = this.#hasSnapshot && !this.#isResumed && !this.#isNewAgain && this.#channels.size > 0
    if (isAll && isOwedState && !hasState) faults.push('the snapshot did not arrive')
    if (isAll) for (const lost of this.#lost()) faults.push(`${lost} did not arrive`)
    return faults
  }

  // A snapshot contains what the client missed of a channel that is added later.
  get #lateDebt(): Debt {
    return this.#isResumed && !this.#isNewAgain && !this.#hasSnapshot ? 'late' : 'free'
  }

  #at(number: number): LogEntry {
    return this.#log[number - 1] as LogEntry
  }

  #isSubscribed({ channel }: LogEntry): boolean {
    return this.#channels.get(channel) === 'subscribed'
  }

  #owe(channel: string, debt: Debt): void {
    const isNew = !this.#isResumed && !this.#withHistory.has(channel)
    for (let number = (isNew ? this.#present : this.#start) + 1; number <= this.#log.length; number++) {
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

  // Events after a number may be received again.
  #repeat(after: number): void {
    for (let number = after + 1; number <= this.#log.length; number++) {
      const entry = this.#at(number)
      if (this.#withHistory.has(entry.channel) && !this.#debts.has(number) && this.#filter(entry))
        this.#debts.set(number, 'free')
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
    // After the gap, each channel continues where its history begins.
    if (this.#isEvicting && this.#from !== 'now')
      for (const each of this.#debts.keys()) this.#debts.set(each, 'free')
    for (const [lost, debt] of this.#debts) {
      if (lost > number) continue
      this.#debts.delete(lost)
      if (debt === 'due' && !this.#isEvicting && lost > this.#lostUpTo)
        yield `the gap up to ${number} skips ${lost}`
    }
  }

  *#lost(): Iterable<number> {
    for (const [number, debt] of this.#debts)
      if (debt === 'due' || (debt === 'late' && this.#isSubscribed(this.#at(number)))) yield number
  }
}
