import type { PubAck } from '@nats-io/jetstream'
import { RingBuffer } from '../../ring-buffer.ts'
import { Deadline } from '../../scheduler/deadline.ts'
import { closedError, rejectedError, timeoutError } from '../broker/errors.ts'
import type { NatsClient } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { isTransient } from './errors.ts'

// How long an attempt waits for its acknowledgement, and the delay before the next one, in ms.
const ATTEMPT_TIMEOUT = 2_000
const RETRY_DELAY = 100
// NATS adds its own timeout to a request, which would reject it before a response that waits in the socket is read.
// NATS keeps the request of a failed attempt up to this time, so that a long time would accumulate them.
const NATS_TIMEOUT = 3 * ATTEMPT_TIMEOUT
// The maximum number of messages in flight to a single server. More would use up the timeout of an attempt while they
// queue there.
const WINDOW = 500

interface Job {
  /** The order of `publish`. */
  readonly number: number
  readonly subject: string
  readonly payload: string
  /** The server stores two messages with the same id once. */
  readonly msgID: string
  readonly resolve: (ack: PubAck) => void
  readonly reject: (error: Error) => void
  /** Until when it may be sent again, as a time of `performance.now`. */
  readonly retriesUntil: number
  isSettled: boolean
  failure: unknown
}

/**
 * Publishes in order. A message without a response is retried once no other is in flight, so that no later message
 * overtakes it. A single server keeps the order of many messages in flight.
 */
export class Publisher {
  /** Whether several servers keep the stream. */
  isReplicated = false
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #timeout: number
  readonly #onTrouble: () => void
  // The messages to retry, before the waiting ones.
  #requeued = new Set<Job>()
  readonly #waiting = new RingBuffer<Job>()
  #inFlight = 0
  #isPaused = false
  #published = 0

  /**
   * `onTrouble` is called when a message was not stored although the connection is up, because the stream may be
   * deleted.
   */
  constructor(client: NatsClient, connection: ConnectionMonitor, timeout: number, onTrouble: () => void) {
    this.#client = client
    this.#connection = connection
    this.#timeout = timeout
    this.#onTrouble = onTrouble
  }

  publish(subject: string, payload: string, msgID: string): Promise<PubAck> {
    return new Promise((resolve, reject) => {
      const number = ++this.#published
      const job: Job = {
        ...{ number, subject, payload, msgID },
        resolve: (ack) => end(() => resolve(ack)),
        reject: (error) => end(() => reject(error)),
        retriesUntil: performance.now() + this.#timeout,
        isSettled: false,
        failure: undefined,
      }
      const deadline = new Deadline(this.#timeout, () => job.reject(timeoutError(job.failure)))
      const end = (settle: () => void) => {
        deadline.cancel()
        job.isSettled = true
        this.#removeSettled(job)
        settle()
      }
      this.#waiting.push(job)
      this.#sendAll()
    })
  }

  /** Rejects the waiting messages. The connection rejects those in flight. */
  close(): void {
    for (let next = this.#next(); next; next = this.#next()) next.reject(closedError())
  }

  // A cluster allows one message in flight. When its leader changes, the old one may lose a message and the new one
  // store the next.
  get #window(): number {
    const { info } = this.#client.connection
    return this.isReplicated || info?.cluster ? 1 : WINDOW
  }

  #sendAll(): void {
    if (this.#connection.isClosed) this.close()
    else if (!this.#connection.isUp) this.#pause()
    while (!this.#isPaused && this.#inFlight < this.#window) {
      const next = this.#next()
      if (!next) return
      if (isSendable(next)) void this.#send(next)
    }
  }

  #next(): Job | undefined {
    const [next] = this.#requeued
    if (!next) return this.#waiting.shift()
    this.#requeued.delete(next)
    return next
  }

  // Waiting messages time out in the order of `publish`. After a blocked event loop, the deadline of the first one may
  // be extended for longer, and then it removes the others too.
  #removeSettled(job: Job): void {
    this.#requeued.delete(job)
    while (this.#waiting.at(0)?.isSettled) this.#waiting.shift()
  }

  async #send(job: Job): Promise<void> {
    const { subject, payload, msgID } = job
    const { jetstream } = this.#client
    this.#inFlight += 1
    try {
      const ack = await this.#connection.whileConnected(
        () => jetstream.publish(subject, payload, { msgID, timeout: NATS_TIMEOUT }),
        ATTEMPT_TIMEOUT,
      )
      job.resolve(ack)
    } catch (error) {
      if (this.#connection.isClosed) job.reject(closedError())
      else if (isTransient(error)) this.#requeue(job, error)
      else job.reject(rejectedError(error))
    }
    this.#inFlight -= 1
    if (!this.#isPaused) this.#sendAll()
    else if (this.#inFlight === 0) void this.#resume()
  }

  #requeue(job: Job, failure: unknown): void {
    job.failure = failure
    if (!job.isSettled) this.#requeued.add(job)
    this.#isPaused = true
    if (this.#connection.isUp) this.#onTrouble()
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    if (this.#inFlight === 0) void this.#resume()
  }

  async #resume(): Promise<void> {
    await this.#connection.whenSettled()
    await this.#connection.pause(RETRY_DELAY)
    this.#requeued = new Set([...this.#requeued].sort((a, b) => a.number - b.number))
    this.#isPaused = false
    this.#sendAll()
  }
}

// An extended deadline may be later than the time for which the server recognizes a repetition.
function isSendable({ isSettled, failure, retriesUntil }: Job): boolean {
  return !isSettled && (failure === undefined || performance.now() < retriesUntil)
}
