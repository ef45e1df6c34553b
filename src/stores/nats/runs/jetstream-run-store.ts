import { BaseRunStore } from '../../base-run-store.ts'
import type {
  RunOwner,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StartedRun,
  StoredBatch,
} from '../../run-store.ts'
import type { NatsClient } from '../client.ts'
import { ConnectionMonitor } from '../connection-monitor.ts'
import { ProcessRequests } from '../process-requests.ts'
import { ReadConsumers } from '../read-consumers.ts'
import { retryBriefly } from './retry-briefly.ts'
import { RunOwners } from './run-owners.ts'
import { RunReader } from './run-reader.ts'
import { stateOf } from './run-record.ts'
import { RunStream } from './run-stream.ts'
import { liveSubjectOf, type RunStreamSpec } from './run-stream-config.ts'
import { RunWatches } from './run-watches.ts'
import { RunWriter } from './run-writer.ts'

/** Runs in a stream of JetStream: a subject for each run, and a message for each batch. */
export class JetStreamRunStore extends BaseRunStore implements RunStore {
  readonly isShared = true
  readonly #spec: RunStreamSpec
  readonly #connection: ConnectionMonitor
  readonly #consumers: ReadConsumers
  readonly #stream: RunStream
  readonly #writer: RunWriter
  readonly #reader: RunReader
  readonly #requests: ProcessRequests
  readonly #watches: RunWatches
  readonly #owners: RunOwners

  constructor(client: NatsClient, spec: RunStreamSpec) {
    super()
    this.#spec = spec
    this.#connection = new ConnectionMonitor(client.connection, () => this.#onConnectionChange())
    this.#consumers = new ReadConsumers(client, this.#connection, spec.stream)
    this.#stream = new RunStream(client, this.#connection, this.#consumers, spec)
    this.#writer = new RunWriter(this.#stream, this.#connection)
    this.#reader = new RunReader(this.#stream, this.#connection, this.#consumers)
    this.#requests = new ProcessRequests(client.connection, this.#connection)
    const reach = () => this.#stream.reach()
    this.#watches = new RunWatches(client, this.#connection, this.#requests, reach)
    this.#owners = new RunOwners(client, this.#connection, this.#requests, spec.subjectPrefix)
  }

  start(id: string, owner: string, maxAge: number): Promise<StartedRun> {
    return this.#writer.start(id, owner, maxAge)
  }

  append(...parameters: Parameters<RunStore['append']>): Promise<boolean> {
    return this.#writer.append(...parameters)
  }

  async find(id: string): Promise<RunState | undefined> {
    const last = await retryBriefly(this.#connection, () => this.#stream.last(id))
    return last?.record && stateOf(last.record)
  }

  read(...parameters: Parameters<RunStore['read']>): Promise<readonly StoredBatch[] | undefined> {
    return this.#reader.read(...parameters)
  }

  watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    return this.#watches.watch(liveSubjectOf(this.#spec, id), epoch, watcher)
  }

  isWatched(id: string, epoch: string): Promise<boolean> {
    return this.#watches.isWatched(liveSubjectOf(this.#spec, id), epoch)
  }

  remove(id: string): Promise<boolean> {
    return this.#writer.remove(id)
  }

  override serve(owner: RunOwner, lease: number): void {
    super.serve(owner, lease)
    this.#owners.serve(owner, lease)
  }

  renew(): Promise<void> {
    return this.#owners.renew()
  }

  isAlive(owner: string): Promise<boolean> {
    return this.#owners.isAlive(owner)
  }

  requestStop(owner: string, id: string, epoch: string): Promise<void> {
    return this.#owners.requestStop(owner, id, epoch)
  }

  async close(): Promise<void> {
    this.#watches.close()
    this.#owners.close()
    this.#writer.close()
    await this.#consumers.close()
    this.#connection.close()
  }

  #onConnectionChange(): void {
    this.#consumers.clear()
    this.#stream.clock.reset()
    if (!this.#connection.isUp) return
    this.#requests.onReconnect()
    void this.#watches.onReconnect()
  }
}
