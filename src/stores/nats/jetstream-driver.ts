import { setTimeout as pause } from 'node:timers/promises'
import { Condition } from '../../condition.ts'
import { timeoutError } from '../broker/deadline.ts'
import type { BrokerDriver, DriverOwner, StoredEntry } from '../broker/driver.ts'
import type { NatsClient } from './client.ts'
import { ConnectionMonitor } from './connection-monitor.ts'
import { closedError, hasNoResponders, isTransient, unusableError } from './errors.ts'
import { messageIdOf } from './message-id.ts'
import { comparePositions, epochOf, isPositionIn, positionOf, sequenceOf } from './message-position.ts'
import { OrderedConsumer, type StreamMessage } from './ordered-consumer.ts'
import { readPage } from './page-reader.ts'
import { Publisher } from './publisher.ts'
import { ensureStream, lookUp, type StreamSpec, type StreamState } from './stream-config.ts'
import { channelOf, subjectOf } from './subjects.ts'

// What lies between attempts to follow again, in ms.
const RETRY_DELAY = 50
const MAX_RETRY_DELAY = 1_000
// How long the end of a log waits for the end of its consumer, in ms.
const REMOVAL = 1_000

/** A log in a stream of JetStream: a subject for each channel, and one ordered consumer for all of them. */
export class JetStreamDriver implements BrokerDriver {
  readonly compare = comparePositions
  readonly #client: NatsClient
  readonly #plan: StreamSpec
  readonly #connection: ConnectionMonitor
  readonly #publisher: Publisher
  readonly #changed = new Condition()
  #owner: DriverOwner | undefined
  #recent = 0
  #consumer: OrderedConsumer | undefined
  // Where the log stands: in this creation of the stream, up to this sequence.
  #epoch = ''
  #last = 0
  // The newest there was when it began: up to there, it is what was before.
  #newest = 0
  #isOpen = false
  #isReady = false
  #failure: unknown

  constructor(client: NatsClient, plan: StreamSpec) {
    this.#client = client
    this.#plan = plan
    this.#connection = new ConnectionMonitor(client.connection, () => this.#onConnectionChange())
    this.#publisher = new Publisher(client, this.#connection, plan.publishTimeout, () =>
      this.#checkStream().catch(() => {}),
    )
  }

  async open(owner: DriverOwner, recent: number): Promise<string> {
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
    const [creation, told] = [this.#epoch, this.#last]
    const subject = subjectOf(this.#plan.subjectPrefix, channel)
    const msgId = messageIdOf(channel, idempotencyKey)
    const { seq, duplicate } = await this.#publisher.publish(subject, record, msgId)
    if (creation === this.#epoch && (seq > told || duplicate)) return positionOf(creation, seq)
    // A new message in an old place: the stream is another one than that which was told of.
    const state = await this.#checkStream().catch(() => undefined)
    return positionOf(state?.epoch ?? this.#epoch, seq)
  }

  async range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    let deadline = Date.now() + this.#plan.publishTimeout
    for (let failure: unknown; ; ) {
      // An outage is waited for, however long: the client stays connected.
      if (!this.#connection.isUp) {
        await this.#connection.whenSettled()
        deadline = Date.now() + this.#plan.publishTimeout
      }
      const timeout = deadline - Date.now()
      if (this.#connection.isClosed) throw closedError()
      if (timeout <= 0) throw timeoutError(failure)
      try {
        return await this.#connection.whileConnected(() => this.#read(after, limit), timeout)
      } catch (error) {
        if (!isTransient(error)) throw unusableError(error)
        failure = error
      }
      await pause(RETRY_DELAY)
    }
  }

  isId(text: string): boolean {
    return isPositionIn(this.#epoch, text)
  }

  async close(): Promise<void> {
    const consumer = this.#consumer
    // What cannot be reached now is dropped by the server itself.
    if (consumer) await this.#connection.whileConnected(() => consumer.remove(), REMOVAL).catch(() => {})
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
        // Credentials and a stream that does not fit do not get right by trying again: at the start, it is said.
        if (!this.#isOpen && !isRetryable(error)) return this.#fail(error)
      }
      await this.#connection.pause(wait)
    }
  }

  async #resume(): Promise<void> {
    const manager = await this.#client.manager
    const state = await this.#connection.whileConnected(() => ensureStream(manager, this.#plan))
    this.#publisher.isReplicated = state.isReplicated
    this.#reposition(state)
    const consumer = new OrderedConsumer(this.#client, this.#plan.stream, {
      onMessage: (message) => this.#onMessage(message),
      onIdle: (upTo) => this.#onIdle(upTo),
      onBroken: () => this.#dropConsumer(),
    })
    this.#consumer = consumer
    await this.#connection.whileConnected(() => consumer.create(this.#last))
    // The consumer may be one of a stream that was created in between: nobody listens to it before that is known.
    await this.#connection.whileConnected(() => this.#checkStream())
    if (this.#consumer !== consumer) return
    consumer.listen()
    if (this.#last >= this.#newest) this.#markReady()
  }

  /** Decides where to go on in a stream as it is now, and says what cannot be told any more. */
  #reposition({ epoch: creation, first, last }: StreamState): void {
    // The sequence of a stream that never held anything is 0, and its first is too.
    const oldest = Math.max(first, 1)
    const isFirst = this.#epoch === ''
    const isSame = creation === this.#epoch
    if (isSame && oldest <= this.#last + 1 && this.#last <= last) return
    this.#epoch = creation
    this.#newest = last
    // Of a server that lost its last messages, what is still there was told before.
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
    // Sequences are dense: what lies between was removed before it could be told.
    if (sequence !== this.#last + 1) this.#reportLoss(sequence - 1)
    this.#last = sequence
    this.#owner?._onEntries([this.#toEntry(message, this.#epoch)])
    // What is not there any more at the end of what it begins with is lost to nobody.
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

  /** Has it follow anew, from where it stands. */
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

  /** Looks whether the stream is still the one that is followed. */
  async #checkStream(): Promise<StreamState | undefined> {
    const state = await lookUp(await this.#client.manager, this.#plan)
    if (state?.epoch !== this.#epoch) this.#dropConsumer()
    return state
  }

  async #read(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    const state = await this.#checkStream()
    if (!isKept(after, state)) return 'gap'
    const position = sequenceOf(after)
    if (position === state.last) return []
    const found = await readPage(this.#client, this.#plan.stream, position, limit)
    // What was there before may have been removed while it was read.
    if (!isKept(after, await this.#checkStream())) return 'gap'
    return found.map((message) => this.#toEntry(message, state.epoch))
  }

  #toEntry({ sequence, subject, payload }: StreamMessage, epoch: string): StoredEntry {
    const channel = channelOf(this.#plan.subjectPrefix, subject)
    return { id: positionOf(epoch, sequence), channel, record: payload }
  }
}

/** Whether all that followed a place is still there. */
function isKept(position: string, state: StreamState | undefined): state is StreamState {
  if (state?.epoch !== epochOf(position)) return false
  return sequenceOf(position) >= state.first - 1 && sequenceOf(position) <= state.last
}

function isRetryable(error: unknown): boolean {
  return isTransient(error) && !hasNoResponders(error)
}
