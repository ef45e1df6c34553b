import { setTimeout as pause } from 'node:timers/promises'
import { Condition } from '../../condition.ts'
import { Deadline } from '../../scheduler/deadline.ts'
import type {
  BrokerDriver,
  DriverOwner,
  OldestEntry,
  RangeLimits,
  RecentLimits,
  StoredEntry,
  StoredRange,
} from '../broker/driver.ts'
import { closedError, timeoutError, unusableError } from '../broker/errors.ts'
import type { History } from '../event-store.ts'
import type { NatsClient } from './client.ts'
import { ConnectionMonitor } from './connection-monitor.ts'
import { hasNoResponders, isTransient } from './errors.ts'
import { messageIdOf } from './message-id.ts'
import { comparePositions, epochOf, isPositionIn, positionOf, sequenceOf } from './message-position.ts'
import { OrderedConsumer, type StreamMessage } from './ordered-consumer.ts'
import { readPage } from './page-reader.ts'
import { Publisher } from './publisher.ts'
import { ensureStream, lookUp, type StreamSpec, type StreamState } from './stream-config.ts'
import { channelOf, subjectOf } from './subjects.ts'

// The delay before the stream is consumed again, in ms.
const RETRY_DELAY = 50
const MAX_RETRY_DELAY = 1_000
// How long `close` waits for the consumer to be removed, in ms.
const REMOVAL_TIMEOUT = 1_000

/** A log in a stream of JetStream: a subject for each channel, and one ordered consumer for all of them. */
export class JetStreamDriver implements BrokerDriver {
  readonly compare = comparePositions
  readonly #client: NatsClient
  readonly #spec: StreamSpec
  readonly #connection: ConnectionMonitor
  readonly #publisher: Publisher
  readonly #changed = new Condition()
  #owner: DriverOwner | undefined
  #recent = 0
  #consumer: OrderedConsumer | undefined
  // The last message delivered: the creation of the stream and a sequence in it.
  #epoch = ''
  #last = 0
  // The newest sequence at the start. Messages up to it belong to the initial load.
  #newest = 0
  #isOpen = false
  #isReady = false
  #failure: unknown

  constructor(client: NatsClient, spec: StreamSpec) {
    this.#client = client
    this.#spec = spec
    this.#connection = new ConnectionMonitor(client.connection, () => this.#onConnectionChange())
    this.#publisher = new Publisher(client, this.#connection, spec.publishTimeout, () =>
      this.#checkStream().catch(() => {}),
    )
  }

  async open(owner: DriverOwner, { entries: recent }: RecentLimits): Promise<string> {
    this.#owner = owner
    this.#recent = recent
    void this.#run()
    await this.#changed.until(() => this.#isOpen || this.#failure !== undefined || this.#connection.isClosed)
    if (this.#failure !== undefined) throw unusableError(this.#failure)
    if (!this.#isOpen) {
      owner._onState('closed')
      throw closedError()
    }
    return positionOf(this.#epoch, this.#last)
  }

  async append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const [epoch, last] = [this.#epoch, this.#last]
    const subject = subjectOf(this.#spec.subjectPrefix, channel)
    const msgId = messageIdOf(channel, idempotencyKey)
    const { seq, duplicate } = await this.#publisher.publish(subject, record, msgId)
    if (epoch === this.#epoch && (seq > last || duplicate)) return positionOf(epoch, seq)
    // A new message has an old sequence, so the stream was recreated.
    const state = await this.#checkStream().catch(() => undefined)
    return positionOf(state?.epoch ?? this.#epoch, seq)
  }

  async range(after: string, { upTo, entries: limit }: RangeLimits): Promise<StoredRange | 'gap'> {
    const found = await this.#retry(() => this.#read(after, limit))
    if (found === 'gap') return found
    const entries = found.filter(({ id }) => comparePositions(id, upTo) <= 0)
    const isWhole = found.length === 0 || entries.length < found.length
    return { entries, end: isWhole ? upTo : (entries.at(-1)?.id ?? upTo) }
  }

  async has(position: string): Promise<boolean> {
    return (await this.#retry(() => this.#read(position, 1))) !== 'gap'
  }

  historyBefore(): Promise<History> {
    throw new Error('not used yet')
  }

  async oldest(): Promise<OldestEntry> {
    const { state } = await this.#retry(async () => ({ state: await this.#checkStream() }))
    // A stream that never held a message has 0 as its first sequence.
    const first = Math.max(state?.first ?? 0, 1)
    return { position: positionOf(state?.epoch ?? this.#epoch, first - 1), isFirst: first === 1 }
  }

  isId(text: string): boolean {
    return isPositionIn(this.#epoch, text)
  }

  async close(): Promise<void> {
    const consumer = this.#consumer
    // The server itself drops a consumer that cannot be removed now.
    if (consumer)
      await this.#connection.whileConnected(() => consumer.remove(), REMOVAL_TIMEOUT).catch(() => {})
    this.#connection.close()
  }

  /** Retries a read. Waits out an outage of any length, so that the client stays connected. */
  async #retry<T extends object | string>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#connection.whenSettled()
      if (this.#connection.isClosed) throw closedError()
      const deadline = new Deadline(this.#spec.publishTimeout)
      const result = await this.#tryToRead(read, deadline).finally(() => deadline.cancel())
      if (result) return result
    }
  }

  /** Resolves with undefined if the connection is lost. */
  async #tryToRead<T>(read: () => Promise<T>, deadline: Deadline): Promise<T | undefined> {
    let failure: unknown
    while (this.#connection.isUp) {
      if (deadline.isOver) throw timeoutError(failure)
      try {
        return await this.#connection.whileConnected(read, this.#spec.publishTimeout)
      } catch (error) {
        if (!isTransient(error)) throw unusableError(error)
        failure = error
      }
      await pause(RETRY_DELAY)
    }
    return undefined
  }

  async #run(): Promise<void> {
    for (let wait = RETRY_DELAY; !this.#connection.isClosed; wait = Math.min(2 * wait, MAX_RETRY_DELAY)) {
      await this.#connection.whenSettled()
      try {
        await this.#resume()
        await this.#changed.until(() => !this.#consumer || this.#connection.isClosed)
        wait = RETRY_DELAY
      } catch (error) {
        this.#dropConsumer()
        // At the start, an error that no retry can mend rejects `open`, for example wrong credentials.
        if (!this.#isOpen && !isRetryable(error)) return this.#fail(error)
      }
      await this.#connection.pause(wait)
    }
  }

  async #resume(): Promise<void> {
    const manager = await this.#client.manager
    const state = await this.#connection.whileConnected(() => ensureStream(manager, this.#spec))
    this.#publisher.isReplicated = state.isReplicated
    this.#reposition(state)
    const consumer = new OrderedConsumer(this.#client, this.#spec.stream, {
      onMessage: (message) => this.#onMessage(message),
      onIdle: (upTo) => this.#onIdle(upTo),
      onBroken: () => this.#dropConsumer(),
    })
    this.#consumer = consumer
    await this.#connection.whileConnected(() => consumer.create(this.#last))
    // The stream may have been recreated before its consumer was created. Checked before messages are received.
    await this.#connection.whileConnected(() => this.#checkStream())
    if (this.#consumer !== consumer) return
    consumer.listen()
    if (this.#last >= this.#newest) this.#markReady()
  }

  /** Decides where to continue in the stream as it is now. Reports a loss if that is not after the last message. */
  #reposition({ epoch, first, last }: StreamState): void {
    // A stream that never held a message has 0 as its first sequence.
    const oldest = Math.max(first, 1)
    const isFirst = this.#epoch === ''
    const isSame = epoch === this.#epoch
    if (isSame && oldest <= this.#last + 1 && this.#last <= last) return
    this.#epoch = epoch
    this.#newest = last
    // Same stream, but its newest messages were lost by the server. The remaining ones were delivered before.
    const delivered = isFirst ? last - this.#recent : isSame ? this.#last : 0
    const from = Math.min(Math.max(oldest - 1, delivered), last)
    if (isFirst) this.#last = from
    else this.#reportLoss(from)
  }

  #reportLoss(last: number): void {
    this.#last = last
    this.#owner?._onLoss(positionOf(this.#epoch, last))
  }

  #onMessage(message: StreamMessage): void {
    const { sequence, pending } = message
    // Sequences are dense. The messages in between were removed before they were delivered.
    if (sequence !== this.#last + 1) this.#reportLoss(sequence - 1)
    this.#last = sequence
    this.#owner?._onEntries([this.#toEntry(message, this.#epoch)])
    // Initial load: messages deleted after the last one delivered were never seen by a client, so they are not a gap.
    if (pending === 0 && !this.#isOpen) this.#last = Math.max(sequence, this.#newest)
    if (pending === 0 || sequence >= this.#newest) this.#markReady()
  }

  #onIdle(upTo: number): void {
    if (upTo > this.#last) this.#reportLoss(upTo)
    this.#markReady()
  }

  #markReady(): void {
    if (this.#isReady || !this.#consumer) return
    this.#isReady = true
    this.#isOpen = true
    this.#owner?._onState('ready')
    this.#changed.notify()
  }

  #onConnectionChange(): void {
    this.#dropConsumer()
    if (!this.#connection.isClosed) return
    this.#publisher.close()
    this.#owner?._onState('closed')
  }

  /** Drops the consumer. `#run` creates another one, which continues after the last message. */
  #dropConsumer(): void {
    const consumer = this.#consumer
    consumer?.stop()
    if (this.#connection.isUp) consumer?.remove().catch(() => {})
    this.#consumer = undefined
    this.#isReady = false
    if (!this.#connection.isClosed) this.#owner?._onState(this.#isOpen ? 'reconnecting' : 'connecting')
    this.#changed.notify()
  }

  #fail(error: unknown): void {
    this.#failure = error
    this.#changed.notify()
  }

  /** Drops the consumer if the stream was recreated or deleted. */
  async #checkStream(): Promise<StreamState | undefined> {
    const state = await lookUp(await this.#client.manager, this.#spec)
    if (state?.epoch !== this.#epoch) this.#dropConsumer()
    return state
  }

  async #read(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    const state = await this.#checkStream()
    if (!isKept(after, state)) return 'gap'
    const position = sequenceOf(after)
    if (position === state.last) return []
    const found = await readPage(this.#client, this.#spec.stream, position, limit)
    // Messages may have been removed during the read.
    if (!isKept(after, await this.#checkStream())) return 'gap'
    return found.map((message) => this.#toEntry(message, state.epoch))
  }

  #toEntry({ sequence, subject, payload, time }: StreamMessage, epoch: string): StoredEntry {
    const channel = channelOf(this.#spec.subjectPrefix, subject)
    return { id: positionOf(epoch, sequence), channel, record: payload, time }
  }
}

/** Whether all messages after a position are still stored. */
function isKept(position: string, state: StreamState | undefined): state is StreamState {
  if (state?.epoch !== epochOf(position)) return false
  return sequenceOf(position) >= state.first - 1 && sequenceOf(position) <= state.last
}

function isRetryable(error: unknown): boolean {
  return isTransient(error) && !hasNoResponders(error)
}
