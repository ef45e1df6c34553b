import type { NatsClient } from '../client.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import type { ReadConsumers } from '../read-consumers.ts'
import { SubjectStream } from '../subject-stream.ts'
import { tokenOf } from '../subjects.ts'
import { decodeRecord, encodeRecord, expiryOf, type RunRecord, type StoredRecord } from './run-record.ts'
import { ensureRunStream, liveSubjectOf, type RunStreamSpec } from './run-stream-config.ts'
import { ServerClock } from './server-clock.ts'

/** The messages of all runs: one stream, in which each run has a subject. */
export class RunStream {
  readonly spec: RunStreamSpec
  readonly clock: ServerClock
  readonly #client: NatsClient
  readonly #connection: ConnectionMonitor
  readonly #messages: SubjectStream

  constructor(
    client: NatsClient,
    connection: ConnectionMonitor,
    consumers: ReadConsumers,
    spec: RunStreamSpec,
  ) {
    this.#client = client
    this.#connection = connection
    this.spec = spec
    this.#messages = new SubjectStream(client, connection, spec.stream, (manager) =>
      ensureRunStream(manager, spec),
    )
    this.clock = new ServerClock(() => this.#serverTime(consumers))
  }

  subjectOf(id: string): string {
    return `${this.spec.subjectPrefix}.${tokenOf(id)}`
  }

  /** Returns the newest message of a run. The message of an expired run has no record, and is removed. */
  async last(id: string): Promise<StoredRecord | undefined> {
    const stored = await this.#messages.get({ last_by_subj: this.subjectOf(id) })
    if (!stored) return undefined
    const [sequence, time] = [stored.seq, Date.parse(stored.timestamp)]
    const record = decodeRecord(stored.string(), sequence)
    if (!record || expiryOf(record, time) > (await this.clock.now())) return { sequence, time, record }
    void this.purge(id, sequence + 1).catch(() => {})
    return { sequence, time, record: undefined }
  }

  /**
   * Stores a message if `newest` is the sequence of the newest one of the run, or 0 and there is none. Otherwise
   * returns undefined.
   */
  async append(id: string, record: RunRecord, newest: number): Promise<number | undefined> {
    const messageId = `${record.epoch}.${record.first}`
    return this.#messages.append(this.subjectOf(id), encodeRecord(record), newest, messageId)
  }

  /** Resolves once the server that stores runs has received all earlier messages of this process. */
  async reach(): Promise<void> {
    await this.#messages.get({ seq: 1 })
  }

  /** Removes the messages of a run before a sequence. */
  async purge(id: string, before: number): Promise<void> {
    await this.#messages.purge(this.subjectOf(id), before)
  }

  /** Notifies the watchers of a run that they may have missed batches. */
  notifyWatchers(id: string): void {
    if (this.#connection.isUp) this.#client.connection.publish(liveSubjectOf(this.spec, id))
  }

  /** Returns the time of the server, which it reports when it creates a consumer. */
  async #serverTime(consumers: ReadConsumers): Promise<number> {
    const selection = { after: 0, subject: `${this.spec.subjectPrefix}.clock` }
    const consumer = await consumers.create(selection, new AbortController().signal)
    consumers.remove(consumer)
    return consumer.created
  }
}
