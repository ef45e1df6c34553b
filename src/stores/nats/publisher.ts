import type { PubAck } from '@nats-io/jetstream'
import { RingBuffer } from '../../ring-buffer.ts'
import { timeoutError } from '../broker/deadline.ts'
import type { NatsClient } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { closedError, isTransient, rejectedError } from './errors.ts'

// How long one attempt waits for its acknowledgement, and what lies between two of them, in ms.
const ATTEMPT = 2_000
const PAUSE = 100
// So many are on their way to one server at a time: the clock of an attempt runs while it works off those before it.
const WINDOW = 500

interface Publication {
  /** Counted up: the order in which they were given. */
  readonly number: number
  readonly subject: string
  readonly payload: string
  /** What the server knows it by: sent twice, it is kept once. */
  readonly msgID: string
  readonly resolve: (ack: PubAck) => void
  readonly reject: (error: Error) => void
  readonly deadline: number
  isSettled: boolean
  failure: unknown
}

/**
 * Publishes in the order given, and tries again what got no answer: after the others that are on their way, so that none
 * overtakes it. A single server takes what it is sent in order, and one does not wait for the one before.
 */
export class Publisher {
  /** Whether more than one server keeps the stream. */
  isReplicated = false
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #timeout: number
  readonly #onTrouble: () => void
  // To be sent again, in any order while it is held: it goes before what waits.
  #returned: Publication[] = []
  readonly #waiting = new RingBuffer<Publication>()
  #inFlight = 0
  #isPaused = false
  #published = 0

  /** `onTrouble` is told when nobody took something: the stream may be gone. */
  constructor(client: NatsClient, connection: ConnectionMonitor, timeout: number, onTrouble: () => void) {
    this.#client = client
    this.#connection = connection
    this.#timeout = timeout
    this.#onTrouble = onTrouble
  }

  publish(subject: string, payload: string, msgID: string): Promise<PubAck> {
    return new Promise((resolve, reject) => {
      const number = ++this.#published
      const deadline = Date.now() + this.#timeout
      const publication: Publication = {
        ...{ number, subject, payload, msgID, deadline },
        resolve: (ack) => end(() => resolve(ack)),
        reject: (error) => end(() => reject(error)),
        isSettled: false,
        failure: undefined,
      }
      const timer = setTimeout(() => publication.reject(timeoutError(publication.failure)), this.#timeout)
      const end = (settle: () => void) => {
        clearTimeout(timer)
        publication.isSettled = true
        settle()
      }
      this.#waiting.push(publication)
      this.#sendAll()
    })
  }

  /** Rejects what waits. What is on its way is rejected by its link. */
  close(): void {
    for (let next = this.#next(); next; next = this.#next()) next.reject(closedError())
  }

  // When the leader of a cluster changes, the old one may lose one that is on its way, and the new one take the next.
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
      if (!next.isSettled) void this.#send(next)
    }
  }

  #next(): Publication | undefined {
    return this.#returned.shift() ?? this.#waiting.shift()
  }

  async #send(publication: Publication): Promise<void> {
    const { subject, payload, msgID, deadline } = publication
    const { jetstream } = this.#client
    const timeout = Math.max(1, Math.min(ATTEMPT, deadline - Date.now()))
    this.#inFlight += 1
    try {
      const ack = await this.#connection.whileConnected(() =>
        jetstream.publish(subject, payload, { msgID, timeout }),
      )
      publication.resolve(ack)
    } catch (error) {
      if (this.#connection.isClosed) publication.reject(closedError())
      else if (isTransient(error)) this.#requeue(publication, error)
      else publication.reject(rejectedError(error))
    }
    this.#inFlight -= 1
    if (!this.#isPaused) this.#sendAll()
    else if (this.#inFlight === 0) void this.#resume()
  }

  #requeue(publication: Publication, failure: unknown): void {
    publication.failure = failure
    this.#returned.push(publication)
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
    await this.#connection.pause(PAUSE)
    this.#returned.sort((a, b) => a.number - b.number)
    this.#isPaused = false
    this.#sendAll()
  }
}
