import type { OldestEntry, RangeLimits, StoredEntry, StoredRange } from '../broker/driver.ts'
import type { History } from '../event-store.ts'
import type { NatsClient } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { headersBackward } from './message-headers.ts'
import { epochOf, positionOf, sequenceOf } from './message-position.ts'
import type { PulledMessages } from './pull.ts'
import type { ReadConsumer, ReadConsumers } from './read-consumers.ts'
import { retry } from './retry.ts'
import { lookUp, type StreamSpec, type StreamState } from './stream-config.ts'
import { type StreamMessage, streamMessageOf } from './stream-message.ts'
import { channelOf, subjectOf } from './subjects.ts'

// How long a look-up may take, and how long its result counts for the start of a read, in ms.
const TIMEOUT = 5_000
const KNOWN_FOR = 1_000

/** Receives the state of a stream that was looked up, or undefined if there is none. */
export type StateListener = (state: StreamState | undefined) => void

interface Page {
  readonly messages: readonly StreamMessage[]
  readonly reason: PulledMessages['reason']
}

/**
 * Reads stored messages, and retries until the signal is aborted. `listen` is called before the stream is looked up,
 * and its result receives the response.
 */
export class StreamReader {
  readonly #client: NatsClient
  readonly #spec: StreamSpec
  readonly #connection: ConnectionMonitor
  readonly #consumers: ReadConsumers
  readonly #listen: () => StateListener
  // The stream when it was last looked up. Its first sequence only grows.
  #known: StreamState | undefined
  #knownAt = 0

  constructor(
    client: NatsClient,
    spec: StreamSpec,
    connection: ConnectionMonitor,
    consumers: ReadConsumers,
    listen: () => StateListener,
  ) {
    this.#client = client
    this.#spec = spec
    this.#connection = connection
    this.#consumers = consumers
    this.#listen = listen
  }

  /** Returns messages of all channels, or of one. */
  range(
    after: string,
    limits: RangeLimits,
    signal: AbortSignal,
    channel?: string,
  ): Promise<StoredRange | 'gap'> {
    const subject = channel === undefined ? undefined : subjectOf(this.#spec.subjectPrefix, channel)
    return this.#retry(() => this.#readRange(after, limits, subject, signal), signal)
  }

  /** True if it is certain that messages after a position were removed. */
  isEvicted(position: string): boolean {
    const { epoch, first } = this.#known ?? { epoch: '', first: 1 }
    return epoch === epochOf(position) && sequenceOf(position) < first - 1
  }

  /** Returns the position `messages` earlier, but not before the oldest message that the last look-up found. */
  back(position: string, messages: number): string {
    const epoch = epochOf(position)
    const first = this.#known?.epoch === epoch ? this.#known.first : 1
    const sequence = Math.max(sequenceOf(position) - messages, first - 1, 0)
    return positionOf(epoch, Math.min(sequence, sequenceOf(position)))
  }

  has(position: string, signal: AbortSignal): Promise<boolean> {
    return this.#retry(
      async () => !this.isEvicted(position) && isKept(position, await this.#lookUp(signal)),
      signal,
    )
  }

  oldest(signal: AbortSignal): Promise<OldestEntry | undefined> {
    return this.#retry(async () => {
      const state = await this.#lookUp(signal)
      return state && { position: positionOf(state.epoch, state.first - 1), isFirst: state.first === 1 }
    }, signal)
  }

  historyBefore(
    position: string,
    channels: ReadonlySet<string>,
    last: number,
    maxEntries: number,
    signal: AbortSignal,
  ): Promise<History> {
    return this.#retry(() => this.#searchHistory(position, channels, last, maxEntries, signal), signal)
  }

  async #lookUp(signal: AbortSignal): Promise<StreamState | undefined> {
    const manager = await this.#client.manager
    const listener = this.#listen()
    const state = await this.#connection.whileConnected(() => lookUp(manager, this.#spec), TIMEOUT, signal)
    this.onLookedUp(state)
    listener(state)
    return state
  }

  /** Keeps the result of a look-up. */
  onLookedUp(state: StreamState | undefined): void {
    this.#known = state
    this.#knownAt = performance.now()
  }

  #retry<T>(read: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return retry(this.#connection, read, signal)
  }

  async #readRange(
    after: string,
    limits: RangeLimits,
    subject: string | undefined,
    signal: AbortSignal,
  ): Promise<StoredRange | 'gap'> {
    const selection = { subject, after: sequenceOf(after) }
    if (epochOf(after) !== epochOf(limits.upTo)) return 'gap'
    const isEmpty = selection.after >= sequenceOf(limits.upTo)
    const kept = isEmpty ? undefined : this.#consumers.take(selection)
    if (!kept && !(await this.#mayHave(after, signal))) return 'gap'
    if (isEmpty) return { entries: [], end: limits.upTo }
    const consumer = kept ?? (await this.#consumers.create(selection, signal))
    let next: number | undefined
    try {
      const page = await this.#pull(consumer, selection.after, limits, signal)
      // A consumer that was just created may belong to a stream that was just recreated.
      const isCertain = kept && subject === undefined && isDense(page, selection.after)
      if (!isCertain && !isKept(after, await this.#lookUp(signal))) return 'gap'
      const range = this.#toRange(page, limits.upTo)
      if (range.end !== limits.upTo && page.reason !== 'broken') next = page.messages.at(-1)?.sequence
      return range
    } finally {
      if (next === undefined) this.#consumers.remove(consumer)
      else this.#consumers.keep(consumer, { subject, after: next })
    }
  }

  async #pull(
    consumer: ReadConsumer,
    after: number,
    { upTo, entries, bytes }: RangeLimits,
    signal: AbortSignal,
  ): Promise<Page> {
    const count = Math.min(entries, sequenceOf(upTo) - after)
    const { messages, reason } = await consumer.pull({ messages: count, bytes }, signal)
    return { messages: messages.map(streamMessageOf), reason }
  }

  #toRange({ messages, reason }: Page, upTo: string): StoredRange {
    const [epoch, last] = [epochOf(upTo), sequenceOf(upTo)]
    const found = messages.filter(({ sequence }) => sequence <= last)
    const entries = found.map((message) => entryOf(message, this.#spec.subjectPrefix, epoch))
    const isWhole = reason === 'end' || found.length < messages.length
    return { entries, end: isWhole ? upTo : (entries.at(-1) as StoredEntry).id }
  }

  async #searchHistory(
    position: string,
    channels: ReadonlySet<string>,
    last: number,
    maxEntries: number,
    signal: AbortSignal,
  ): Promise<History> {
    const state = await this.#lookUp(signal)
    const [epoch, newest] = [epochOf(position), sequenceOf(position)]
    if (state?.epoch !== epoch) return { after: position, isIncomplete: true }
    const before = (sequence: number) => positionOf(epoch, Math.max(sequence, state.first) - 1)
    if (last === Number.POSITIVE_INFINITY) return { after: before(0), isIncomplete: state.first > 1 }
    const first = Math.max(state.first, newest - maxEntries + 1)
    const [only] = channels.size === 1 ? channels : []
    const subject = only === undefined ? undefined : subjectOf(this.#spec.subjectPrefix, only)
    let [oldest, count] = [newest + 1, 0]
    for await (const header of headersBackward(this.#consumers, { first, last: newest, subject }, signal)) {
      if (count === last) break
      if (!channels.has(channelOf(this.#spec.subjectPrefix, header.subject))) continue
      count += 1
      oldest = header.sequence
    }
    return { after: before(oldest), isIncomplete: count < last && first > 1 }
  }

  /** Whether the stream has a position, or had it at a recent look-up. */
  async #mayHave(position: string, signal: AbortSignal): Promise<boolean> {
    if (this.isEvicted(position)) return false
    const isRecent = performance.now() - this.#knownAt < KNOWN_FOR
    return (isRecent && isKept(position, this.#known)) || isKept(position, await this.#lookUp(signal))
  }
}

export function entryOf(message: StreamMessage, subjectPrefix: string, epoch: string): StoredEntry {
  const { sequence, subject, payload, time } = message
  return {
    id: positionOf(epoch, sequence),
    channel: channelOf(subjectPrefix, subject),
    record: payload,
    time,
  }
}

/** Whether all messages after a position are still stored. */
function isKept(position: string, state: StreamState | undefined): boolean {
  if (state?.epoch !== epochOf(position)) return false
  return sequenceOf(position) >= state.first - 1 && sequenceOf(position) <= state.last
}

/** True if no message is missing, because sequences are dense. */
function isDense({ messages, reason }: Page, after: number): boolean {
  return reason !== 'end' && messages.every(({ sequence }, i) => sequence === after + 1 + i)
}
