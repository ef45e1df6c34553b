import type { PubAck } from '@nats-io/jetstream'
import { Ring } from '../../ring-buffer.ts'
import { late } from '../broker/deadline.ts'
import type { NatsClient } from './client.ts'
import type { Link } from './connection-monitor.ts'
import { gone, isTransient, refused } from './errors.ts'

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
  isOver: boolean
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
  readonly #link: Link
  readonly #timeout: number
  readonly #onTrouble: () => void
  // To be sent again, in any order while it is held: it goes before what waits.
  #returned: Publication[] = []
  readonly #waiting = new Ring<Publication>()
  #onTheirWay = 0
  #isHeld = false
  #published = 0

  /** `onTrouble` is told when nobody took something: the stream may be gone. */
  constructor(client: NatsClient, link: Link, timeout: number, onTrouble: () => void) {
    this.#client = client
    this.#link = link
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
        isOver: false,
        failure: undefined,
      }
      const timer = setTimeout(() => publication.reject(late(publication.failure)), this.#timeout)
      const end = (settle: () => void) => {
        clearTimeout(timer)
        publication.isOver = true
        settle()
      }
      this.#waiting.push(publication)
      this.#sendAll()
    })
  }

  /** Rejects what waits. What is on its way is rejected by its link. */
  close(): void {
    for (let next = this.#next(); next; next = this.#next()) next.reject(gone())
  }

  // When the leader of a cluster changes, the old one may lose one that is on its way, and the new one take the next.
  get #window(): number {
    const { info } = this.#client.connection
    return this.isReplicated || info?.cluster ? 1 : WINDOW
  }

  #sendAll(): void {
    if (this.#link.isClosed) this.close()
    else if (!this.#link.isUp) this.#hold()
    while (!this.#isHeld && this.#onTheirWay < this.#window) {
      const next = this.#next()
      if (!next) return
      if (!next.isOver) void this.#send(next)
    }
  }

  #next(): Publication | undefined {
    return this.#returned.shift() ?? this.#waiting.shift()
  }

  async #send(publication: Publication): Promise<void> {
    const { subject, payload, msgID, deadline } = publication
    const { jetstream } = this.#client
    const timeout = Math.max(1, Math.min(ATTEMPT, deadline - Date.now()))
    this.#onTheirWay += 1
    try {
      const ack = await this.#link.during(() => jetstream.publish(subject, payload, { msgID, timeout }))
      publication.resolve(ack)
    } catch (error) {
      if (this.#link.isClosed) publication.reject(gone())
      else if (isTransient(error)) this.#takeBack(publication, error)
      else publication.reject(refused(error))
    }
    this.#onTheirWay -= 1
    if (!this.#isHeld) this.#sendAll()
    else if (this.#onTheirWay === 0) void this.#release()
  }

  #takeBack(publication: Publication, failure: unknown): void {
    publication.failure = failure
    this.#returned.push(publication)
    this.#isHeld = true
    if (this.#link.isUp) this.#onTrouble()
  }

  #hold(): void {
    if (this.#isHeld) return
    this.#isHeld = true
    if (this.#onTheirWay === 0) void this.#release()
  }

  async #release(): Promise<void> {
    await this.#link.settled()
    await this.#link.pause(PAUSE)
    this.#returned.sort((a, b) => a.number - b.number)
    this.#isHeld = false
    this.#sendAll()
  }
}
