import { Condition } from '../../condition.ts'
import type {
  BrokerDriver,
  DriverOwner,
  OldestEntry,
  RangeLimits,
  RecentLimits,
  StoredRange,
} from '../broker/driver.ts'
import { closedError, unusableError } from '../broker/errors.ts'
import type { History } from '../event-store.ts'
import type { NatsClient } from './client.ts'
import { ConnectionMonitor } from './connection-monitor.ts'
import { hasNoResponders, hasNoStorage, isTransient } from './errors.ts'
import { startOfNewest } from './message-headers.ts'
import { messageIdOf } from './message-id.ts'
import { comparePositions, epochOf, isPositionIn, positionOf, sequenceOf } from './message-position.ts'
import { OrderedConsumer } from './ordered-consumer.ts'
import { Publisher } from './publisher.ts'
import { ReadConsumers } from './read-consumers.ts'
import { ensureStream, lookUp, type StreamSpec, type StreamState } from './stream-config.ts'
import type { StreamMessage } from './stream-message.ts'
import { entryOf, type StateListener, StreamReader } from './stream-reader.ts'
import { subjectOf } from './subjects.ts'

// The delay before the stream is consumed again, in ms.
const RETRY_DELAY = 50
const MAX_RETRY_DELAY = 1_000
// How long `close` waits for the consumer to be removed, in ms.
const REMOVAL_TIMEOUT = 1_000

/** A log in a stream of JetStream: a subject for each channel, and one ordered consumer for all of them. */
export class JetStreamDriver implements BrokerDriver {
  failure: unknown
  readonly compare = comparePositions
  readonly #client: NatsClient
  readonly #spec: StreamSpec
  readonly #connection: ConnectionMonitor
  readonly #publisher: Publisher
  readonly #replayConnection: ConnectionMonitor
  readonly #consumers: ReadConsumers
  /** The consumers of the initial load, on the connection of live events. */
  readonly #loads: ReadConsumers
  readonly #reader: StreamReader
  readonly #changed = new Condition()
  #owner: DriverOwner | undefined
  #recent: RecentLimits = { entries: 0, bytes: 0 }
  #consumer: OrderedConsumer | undefined
  // The last message delivered: the creation of the stream and a sequence in it.
  #epoch = ''
  #last = 0
  // The newest sequence at the start. Messages up to it belong to the initial load.
  #newest = 0
  #isOpen = false
  #isReady = false
  #isUnusable = false

  /** Replays use `replayClient`, by default the same connection. */
  constructor(client: NatsClient, spec: StreamSpec, replayClient = client) {
    this.#client = client
    this.#spec = spec
    this.#connection = new ConnectionMonitor(client.connection, () => this.#onConnectionChange())
    this.#replayConnection =
      replayClient === client
        ? this.#connection
        : new ConnectionMonitor(replayClient.connection, () => this.#consumers.clear())
    this.#consumers = new ReadConsumers(replayClient, this.#replayConnection, spec.stream)
    this.#loads = new ReadConsumers(client, this.#connection, spec.stream)
    this.#reader = new StreamReader(replayClient, spec, this.#replayConnection, this.#consumers, () =>
      this.#stateListener(),
    )
    this.#publisher = new Publisher(client, this.#connection, spec.publishTimeout, () =>
      this.#checkStream().catch(() => {}),
    )
  }

  async open(owner: DriverOwner, recent: RecentLimits): Promise<string> {
    this.#owner = owner
    this.#recent = recent
    void this.#run()
    await this.#changed.until(() => this.#isOpen || this.#isUnusable || this.#connection.isClosed)
    if (this.#isUnusable) throw unusableError(this.failure)
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

  range(after: string, limits: RangeLimits, signal: AbortSignal): Promise<StoredRange | 'gap'> {
    return this.#reader.range(after, limits, signal)
  }

  channelRange(
    channel: string,
    after: string,
    limits: RangeLimits,
    signal: AbortSignal,
  ): Promise<StoredRange | 'gap'> {
    return this.#reader.range(after, limits, signal, channel)
  }

  distance(after: string, upTo: string): number {
    if (epochOf(after) !== epochOf(upTo)) return Number.POSITIVE_INFINITY
    return Math.max(0, sequenceOf(upTo) - sequenceOf(after))
  }

  back(position: string, entries: number): string {
    return this.#reader.back(position, entries)
  }

  has(position: string, signal: AbortSignal): Promise<boolean> {
    return this.#reader.has(position, signal)
  }

  historyBefore(...parameters: Parameters<BrokerDriver['historyBefore']>): Promise<History> {
    return this.#reader.historyBefore(...parameters)
  }

  async oldest(signal: AbortSignal): Promise<OldestEntry> {
    const oldest = await this.#reader.oldest(signal)
    return oldest ?? { position: positionOf(this.#epoch, 0), isFirst: true }
  }

  isId(text: string): boolean {
    return isPositionIn(this.#epoch, text)
  }

  isEvicted(position: string): boolean {
    return this.#reader.isEvicted(position)
  }

  async close(): Promise<void> {
    const consumer = this.#consumer
    const removal = consumer && this.#connection.whileConnected(() => consumer.remove(), REMOVAL_TIMEOUT)
    // The server itself drops a consumer that cannot be removed now.
    await Promise.all([removal?.catch(() => {}), this.#consumers.close(), this.#loads.close()])
    this.#connection.close()
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
        this.failure = error
        // At the start, a permanent error rejects `open`, for example wrong credentials.
        if (!this.#isOpen && !isRetryable(error)) return this.#fail()
      }
      await this.#connection.pause(wait)
    }
  }

  async #resume(): Promise<void> {
    const manager = await this.#client.manager
    const state = await this.#connection.whileConnected(() => ensureStream(manager, this.#spec))
    this.#publisher.isReplicated = state.isReplicated
    this.#reader.onLookedUp(state)
    this.#reposition(state, this.#epoch === '' ? await this.#findStart(state) : 0)
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

  /**
   * Sets the sequence after which to continue in the stream. Reports a loss unless that is the last message delivered.
   */
  #reposition({ epoch, first, last }: StreamState, start: number): void {
    const isFirst = this.#epoch === ''
    const isSame = epoch === this.#epoch
    if (isSame && first <= this.#last + 1 && this.#last <= last) return
    this.#epoch = epoch
    this.#newest = last
    // Same stream, but its newest messages were lost by the server. The remaining ones were delivered before.
    const delivered = isFirst ? start : isSame ? this.#last : 0
    const from = Math.min(Math.max(first - 1, delivered), last)
    if (isFirst) this.#last = from
    else this.#reportLoss(from)
  }

  /** Returns the sequence after which the initial load begins. */
  #findStart(state: StreamState): Promise<number> {
    return startOfNewest(this.#loads, state, this.#recent, new AbortController().signal)
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
    this.#owner?._onEntries([entryOf(message, this.#spec.subjectPrefix, this.#epoch)])
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
    this.#consumers.clear()
    if (!this.#connection.isClosed) return
    this.#replayConnection.close()
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

  #fail(): void {
    this.#isUnusable = true
    this.#changed.notify()
  }

  async #checkStream(): Promise<StreamState | undefined> {
    const listener = this.#stateListener()
    const state = await lookUp(await this.#client.manager, this.#spec)
    listener(state)
    return state
  }

  /** Returns a listener for the response to a request. It drops the consumer if the stream was recreated or deleted. */
  #stateListener(): StateListener {
    const epoch = this.#epoch
    return (state) => {
      if (epoch === this.#epoch && state?.epoch !== epoch) this.#dropConsumer()
    }
  }
}

function isRetryable(error: unknown): boolean {
  return isTransient(error) && !hasNoResponders(error) && !hasNoStorage(error)
}
