import type { LogEntry } from '../../src/stores/log-entry.ts'
import type { Seen } from './hub-client.ts'
import { SlowLog } from './slow-log.ts'

/**
 * How an entry is owed to a client. `due`: nothing that lies after it in the log reaches the client before it does.
 * `late`: nothing of its channel does, but other channels may be ahead. `free`: it may come, or not. None comes twice,
 * and instead of any of them the client may be told of a gap.
 */
type Debt = 'due' | 'late' | 'free'

/** What a client does with a channel. It is left whole by a client that had all of it by then, and got the rest live. */
type Following = 'followed' | 'left whole' | 'left'

export interface LedgerOptions {
  /** All that was ever published. Place 1 is that of its first entry. */
  log: readonly LogEntry[]
  /** Whether the hub lets go of what is old. */
  isEvicting: boolean
  /** Where the client comes from: '' for a new one. */
  lastEventId: string
  /** What it follows from the beginning. */
  channels: readonly string[]
  /** What it may see. */
  filter: (entry: LogEntry) => boolean
}

/** The books of one connection: what the hub owes the client, entry by entry, and in the end what of it came. */
export class Ledger {
  /** Whether the client is known to have all there was, so that it gets live what is published now. */
  isLive = false
  readonly #log: readonly LogEntry[]
  readonly #filter: (entry: LogEntry) => boolean
  readonly #isEvicting: boolean
  readonly #isResumed: boolean
  // A new client begins with the present.
  readonly #start: number
  readonly #channels = new Map<string, Following>()
  readonly #debts = new Map<number, Debt>()
  // A client that has left all its channels goes on as a new one: what it missed by then is not told any more.
  #isAnew = false
  // How many gaps there may be.
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

  /** The newest entry of the log is published. */
  published(): void {
    const place = this.#log.length
    if (this.#isFollowed(this.#at(place)) && this.#filter(this.#at(place))) this.#debts.set(place, 'due')
  }

  /** A further channel begins with the present: what the client missed there comes late, or is a gap. */
  follow(channel: string): void {
    const before = this.#channels.get(channel)
    if (before === 'followed') return
    this.#channels.set(channel, 'followed')
    this.isLive = false
    // What is published on a channel that was left is forgone.
    this.#owe(channel, before === undefined && this.#isToldOfMissed ? 'late' : 'free')
    const isMissing = this.#log.slice(this.#start).some((entry) => entry.channel === channel)
    if (isMissing && (this.#isAnew || (this.#isResumed && before !== 'left whole'))) this.#gaps += 1
  }

  /** What was live still comes. Who leaves in the middle of a replay lacks the rest when it follows again. */
  leave(channel: string): void {
    if (this.#channels.get(channel) !== 'followed') return
    this.#channels.set(channel, this.isLive ? 'left whole' : 'left')
    const isLast = ![...this.#channels.values()].includes('followed')
    if (isLast) for (const each of this.#channels.keys()) this.#change(each, 'late', 'free')
    if (!this.isLive) this.#change(channel, 'due', this.#isToldOfMissed ? 'late' : 'free')
    this.#isAnew ||= isLast
  }

  /** What is wrong about what the client has seen. `isAll`: nothing more was to come. */
  check(seen: readonly Seen[], isAll: boolean): string[] {
    const wrong: string[] = []
    let at = this.#start
    for (const { event, data, id } of seen) {
      // A snapshot has no id of its own: the place from which the client goes on comes after it.
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

  // When nothing is evicted, a gap stands for nothing but what is late.
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
