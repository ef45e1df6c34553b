import { randomBytes } from 'node:crypto'
import { between, type Check, checkOptions, withDefaults } from '../check-options.ts'
import { clock } from '../clock.ts'
import { SseError } from '../errors.ts'
import type { SseEvent } from '../event.ts'
import { Ring } from '../ring.ts'
import type { AppendOptions, EventLog, LogFollower, Page } from './event-log.ts'
import { Evictions } from './memory/evictions.ts'
import {
  ConflatedHistory,
  FullHistory,
  type History,
  type MemoryEntry,
  type Place,
} from './memory/history.ts'

/** How much is kept to be read again; the limit that is reached first counts. */
export interface LogLimits {
  maxEvents?: number | undefined
  /** Bytes on the wire. */
  maxBytes?: number | undefined
  /** In ms. */
  maxAge?: number | undefined
}

/** Default: 10 000 events and 16 MiB, of any age. */
export interface MemoryLogOptions extends LogLimits {
  /** Limits of each single channel, so that a busy one leaves room for the others. Default: none. */
  perChannel?: LogLimits | undefined
}

interface Limits {
  readonly maxEvents: number
  readonly maxBytes: number
  readonly maxAge: number
}

const MAX = Number.MAX_SAFE_INTEGER
const DEFAULTS: Limits = { maxEvents: 10_000, maxBytes: 16 * 1024 * 1024, maxAge: MAX }
const NO_LIMITS: Limits = { maxEvents: MAX, maxBytes: MAX, maxAge: MAX }

const CHECKS = { maxEvents: between(1, MAX), maxBytes: between(1, MAX), maxAge: between(1, MAX) }

const checkPerChannel: Check = (limits) => {
  checkOptions(limits, CHECKS)
  return undefined
}

/** The log of a single process. An id is `epoch-sequence`: a restart begins an epoch of its own. */
export class MemoryLog implements EventLog {
  readonly #epoch = randomBytes(6).toString('hex')
  readonly #limits: Limits
  readonly #perChannel: Limits
  readonly #histories = new Map<string, History>()
  // The entries of all channels; those that are gone are passed over.
  readonly #order = new Ring<Place>()
  readonly #evictions = new Evictions()
  readonly #published = new Map<string, { id: string; sequence: number }>()
  #sequence = 0
  #events = 0
  #bytes = 0
  #follower: LogFollower | undefined
  #isClosed = false

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: MemoryLogOptions = {}) {
    checkOptions(options, { ...CHECKS, perChannel: checkPerChannel })
    const { perChannel, ...limits } = options
    this.#limits = withDefaults(limits, DEFAULTS)
    this.#perChannel = withDefaults(perChannel, NO_LIMITS)
  }

  get head(): string {
    return this.#id(this.#sequence)
  }

  open(follower: LogFollower): void {
    if (this.#follower) throw new SseError('ERR_SSE_OPTION', 'A log serves one hub: this one has its hub.')
    this.#follower = follower
  }

  // All of it in one step: only the answer is asynchronous.
  async append(channel: string, event: SseEvent, options: AppendOptions = {}): Promise<string> {
    const { idempotencyKey, conflate = false } = options
    const published = idempotencyKey === undefined ? undefined : this.#published.get(idempotencyKey)
    if (published) return published.id
    const follower = this.#follower as LogFollower
    const sequence = this.#sequence + 1
    const entry = follower.entry(this.#id(sequence), channel, event, options)
    this.#sequence = sequence
    if (idempotencyKey !== undefined) this.#published.set(idempotencyKey, { id: entry.id, sequence })
    const place = { channel, time: clock.now, isGone: false }
    this.#keep({ ...entry, sequence, place, key: conflate ? entry.frame.key : undefined }, conflate)
    follower.onEntry(entry)
    return entry.id
  }

  read(channels: readonly string[], after: string, limit: number): Page {
    this.#evictOverdue(channels)
    const sequence = this.#isClosed ? undefined : this.#sequenceOf(after)
    if (sequence === undefined || channels.some((channel) => this.#evictions.upTo(channel) > sequence))
      return 'gap'
    const found = channels.flatMap((channel) => this.#histories.get(channel)?.after(sequence, limit) ?? [])
    if (channels.length > 1) found.sort((a, b) => a.sequence - b.sequence)
    return found.slice(0, limit)
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }

  #id(sequence: number): string {
    return `${this.#epoch}-${sequence}`
  }

  /** The place that an id names, if the id is one of this log's. */
  #sequenceOf(id: string): number | undefined {
    const sequence = Number(id.slice(this.#epoch.length + 1))
    const isOurs = Number.isSafeInteger(sequence) && sequence <= this.#sequence && this.#id(sequence) === id
    return isOurs ? sequence : undefined
  }

  #keep(entry: MemoryEntry, conflate: boolean): void {
    const history =
      this.#histories.get(entry.channel) ?? (conflate ? new ConflatedHistory() : new FullHistory())
    this.#histories.set(entry.channel, history)
    const replaced = history.push(entry)
    if (replaced) this.#letGo(replaced)
    this.#order.push(entry.place)
    this.#events += 1
    this.#bytes += entry.frame.size
    this.#evictOverdue([entry.channel])
    this.#forgetKeys()
  }

  /** Evicts what some channels hold over their own limits, then what the log holds over all. */
  #evictOverdue(channels: readonly string[]): void {
    for (const channel of channels) {
      const history = this.#histories.get(channel)
      while (history && isOver(this.#perChannel, history.length, history.bytes, history.oldest()?.place))
        this.#evict(channel)
    }
    for (
      let oldest = this.#oldest();
      isOver(this.#limits, this.#events, this.#bytes, oldest);
      oldest = this.#oldest()
    ) {
      this.#evict((oldest as Place).channel)
    }
  }

  #evict(channel: string): void {
    const history = this.#histories.get(channel)
    const entry = history?.shift()
    if (!history || !entry) return
    this.#letGo(entry)
    this.#evictions.add(channel, entry.sequence)
    if (history.length === 0) this.#histories.delete(channel)
  }

  #letGo(entry: MemoryEntry): void {
    entry.place.isGone = true
    this.#events -= 1
    this.#bytes -= entry.frame.size
    // What is gone in the middle of the order is cleared away when it outweighs what is there.
    if (this.#order.length > 2 * this.#events + 100) this.#clearOrder()
  }

  #oldest(): Place | undefined {
    while (this.#order.at(0)?.isGone) this.#order.shift()
    return this.#order.at(0)
  }

  #clearOrder(): void {
    for (let left = this.#order.length; left > 0; left--) {
      const place = this.#order.shift() as Place
      if (!place.isGone) this.#order.push(place)
    }
  }

  #forgetKeys(): void {
    for (const [key, { sequence }] of this.#published) {
      if (sequence > this.#sequence - this.#limits.maxEvents) return
      this.#published.delete(key)
    }
  }
}

function isOver(limits: Limits, events: number, bytes: number, oldest: Place | undefined): boolean {
  if (!oldest) return false
  return events > limits.maxEvents || bytes > limits.maxBytes || clock.now - oldest.time > limits.maxAge
}
