import type { LogEntry } from '../../src/stores/log-entry.ts'
import type { Seen } from './hub-client.ts'
import { SlowLog } from './slow-log.ts'

/**
 * How an entry is owed to a client. `due`: no later entry is received before it. `late`: no later entry of its channel is.
 * `free`: it may be received or not. None is received twice, and a gap may replace any of them.
 */
type Debt = 'due' | 'late' | 'free'

/** `left whole`: a client left the channel while it was live, so it had all events of the channel. */
type Following = 'followed' | 'left whole' | 'left'

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
  readonly #channels = new Map<string, Following>()
  readonly #debts = new Map<number, Debt>()
  // A client that has left all its channels continues as a new one: gaps of the time before are not sent any more.
  #isAnew = false
  // How many gaps are allowed.
  #gaps: number

  constructor({ log, isEvicting, lastEventId, channels, filter }: LedgerOptions) {
    this.#log = log
    this.#filter = filter
    this.#isEvicting = isEvicting
    this.#gaps = isEvicting ? Number.POSITIVE_INFINITY : 0
    this.#isResumed = lastEventId !== ''
    this.#start = this.#isResumed ? SlowLog.placeOf(lastEventId) : log.length
    for (const channel of channels) {
      this.#channels.set(channel, 'followed')
      this.#owe(channel, 'due')
    }
  }

  /** Records that the newest entry was published. */
  published(): void {
    const place = this.#log.length
    if (this.#isFollowed(this.#at(place)) && this.#filter(this.#at(place))) this.#debts.set(place, 'due')
  }

  /** Records a further channel, which starts at present. The events that the client missed there are `late`, or a gap. */
  follow(channel: string): void {
    const before = this.#channels.get(channel)
    if (before === 'followed') return
    this.#channels.set(channel, 'followed')
    this.isLive = false
    // Events published while the channel was left are not owed.
    this.#owe(channel, before === undefined && this.#isToldOfMissed ? 'late' : 'free')
    const isMissing = this.#log.slice(this.#start).some((entry) => entry.channel === channel)
    if (isMissing && (this.#isAnew || (this.#isResumed && before !== 'left whole'))) this.#gaps += 1
  }

  /** Records that a channel is left. Live events are still owed; the rest of a replay is missing after a new subscription. */
  leave(channel: string): void {
    if (this.#channels.get(channel) !== 'followed') return
    this.#channels.set(channel, this.isLive ? 'left whole' : 'left')
    const isLast = ![...this.#channels.values()].includes('followed')
    if (isLast) for (const each of this.#channels.keys()) this.#change(each, 'late', 'free')
    if (!this.isLive) this.#change(channel, 'due', this.#isToldOfMissed ? 'late' : 'free')
    this.#isAnew ||= isLast
  }

  /** Returns the faults of what the client has received. `isAll`: no further event is expected. */
  check(seen: readonly Seen[], isAll: boolean): string[] {
    const wrong: string[] = []
    let at = this.#start
    for (const { event, data, id } of seen) {
      // A snapshot has no id. The position where the client continues is sent after it.
      if (data === 'snapshot') continue
      const place = SlowLog.placeOf(id)
      if (place < at) wrong.push(`${event} ${place} came after ${at}`)
      wrong.push(...(event === 'message' ? this.#pay(place, data) : this.#excuse(place)))
      at = place
    }
    if (isAll) for (const lost of this.#lost()) wrong.push(`${lost} did not come`)
    return wrong
  }

  get #isToldOfMissed(): boolean {
    return this.#isResumed && !this.#isAnew
  }

  #at(place: number): LogEntry {
    return this.#log[place - 1] as LogEntry
  }

  #isFollowed({ channel }: LogEntry): boolean {
    return this.#channels.get(channel) === 'followed'
  }

  #owe(channel: string, debt: Debt): void {
    for (let place = this.#start + 1; place <= this.#log.length; place++) {
      const entry = this.#at(place)
      if (entry.channel === channel && !this.#debts.has(place) && this.#filter(entry))
        this.#debts.set(place, debt)
    }
  }

  #change(channel: string, from: Debt, to: Debt): void {
    for (const [place, debt] of this.#debts)
      if (debt === from && this.#at(place).channel === channel) this.#debts.set(place, to)
  }

  *#pay(place: number, data: string): Iterable<string> {
    const { channel, event } = this.#at(place)
    if (event.data !== data) yield `${place} came as ${data.trimEnd()}`
    if (!this.#debts.delete(place)) yield `${place} came twice, or unasked`
    for (const [lost, debt] of this.#debts) {
      const isBefore = debt === 'due' || (debt === 'late' && this.#at(lost).channel === channel)
      if (lost < place && isBefore) yield `${lost} did not come before ${place}`
    }
  }

  // If nothing is evicted, a gap may only replace late entries.
  *#excuse(place: number): Iterable<string> {
    if (this.#gaps-- === 0) yield `the gap up to ${place} is none`
    for (const [lost, debt] of this.#debts) {
      if (lost > place) continue
      this.#debts.delete(lost)
      if (debt === 'due' && !this.#isEvicting) yield `the gap up to ${place} skips ${lost}`
    }
  }

  *#lost(): Iterable<number> {
    for (const [place, debt] of this.#debts)
      if (debt === 'due' || (debt === 'late' && this.#isFollowed(this.#at(place)))) yield place
  }
}
