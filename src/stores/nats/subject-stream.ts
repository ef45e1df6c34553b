import type { JetStreamManager, StoredMsg } from '@nats-io/jetstream'
import type { NatsClient } from './client.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { isTransient } from './errors.ts'

// How long a request may take, in ms.
const TIMEOUT = 2_000
// NATS adds its own timeout to a request, which would reject it before a response that waits in the socket is read.
const NATS_TIMEOUT = 3 * TIMEOUT
const WRONG_LAST_SEQUENCE = 10071

/**
 * The messages of one stream. Processes append to a subject by comparing the sequence of its newest message. The stream
 * is created before the first request, and again when it was deleted.
 */
export class SubjectStream {
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #stream: string
  readonly #create: (manager: JetStreamManager) => Promise<void>
  #ensured: Promise<void> | undefined

  /** `create` creates the stream if there is none. */
  constructor(
    client: NatsClient,
    connection: ConnectionMonitor,
    stream: string,
    create: (manager: JetStreamManager) => Promise<void>,
  ) {
    this.#client = client
    this.#connection = connection
    this.#stream = stream
    this.#create = create
  }

  /** Returns the newest message of a subject, or the message with a sequence. Returns null if there is none. */
  get(query: { last_by_subj: string } | { seq: number }): Promise<StoredMsg | null> {
    return this.#request(async () => {
      const { streams } = await this.#client.manager
      return streams.getMessage(this.#stream, query)
    })
  }

  /**
   * Stores a message if `newest` is the sequence of the newest one of its subject, or 0 and there is none. `id` MUST be
   * that of this message only. Returns the sequence of the message, or undefined if there is a newer one.
   */
  async append(subject: string, payload: string, newest: number, id: string): Promise<number | undefined> {
    const options = {
      timeout: NATS_TIMEOUT,
      expect: { lastSubjectSequence: newest },
      // In a cluster, older servers compare a sequence above 0 before messages in flight are stored, but not their ids.
      ...(newest > 0 && { msgID: id }),
    }
    try {
      const ack = await this.#request(() => this.#client.jetstream.publish(subject, payload, options))
      return ack.duplicate ? undefined : ack.seq
    } catch (error) {
      if ((error as { code?: unknown }).code === WRONG_LAST_SEQUENCE) return undefined
      throw error
    }
  }

  /** Removes the messages of a subject before a sequence. Returns how many there were. */
  async purge(subject: string, before: number): Promise<number> {
    const { purged } = await this.#request(async () => {
      const { streams } = await this.#client.manager
      return streams.purge(this.#stream, { filter: subject, seq: before })
    })
    return purged
  }

  async #request<T>(request: () => Promise<T>): Promise<T> {
    this.#ensured ??= this.#ensure()
    try {
      await this.#ensured
      return await this.#connection.whileConnected(request, TIMEOUT)
    } catch (error) {
      // The stream may have been deleted, and is then created again.
      if (isTransient(error)) this.#ensured = undefined
      throw error
    }
  }

  async #ensure(): Promise<void> {
    const manager = await this.#client.manager
    try {
      await this.#connection.whileConnected(() => this.#create(manager), TIMEOUT)
    } catch (error) {
      this.#ensured = undefined
      throw error
    }
  }
}
