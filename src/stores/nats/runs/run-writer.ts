import { clock } from '../../../scheduler/clock.ts'
import type { RunBatch, RunRetention, StartedRun } from '../../run-store.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import { TransientError } from '../errors.ts'
import { retry } from '../retry.ts'
import { retryBriefly } from './retry-briefly.ts'
import {
  epochAt,
  isOfNonce,
  isSameBatch,
  newNonce,
  type RunRecord,
  type StoredRecord,
  stateOf,
} from './run-record.ts'
import type { RunStream } from './run-stream.ts'
import { StartedRuns } from './started-runs.ts'
import { WritableRun } from './writable-run.ts'

// How often a batch is published before a delay.
const MAX_ATTEMPTS = 2

/**
 * Starts runs and appends to them. The server stores a message only if it follows the newest one that this process has
 * read or stored. Therefore only one of several processes succeeds.
 */
export class RunWriter {
  readonly #stream: RunStream
  readonly #connection: ConnectionMonitor
  /** The runs that this process has started, up to their removal. */
  readonly #started: StartedRuns

  constructor(stream: RunStream, connection: ConnectionMonitor) {
    this.#stream = stream
    this.#connection = connection
    this.#started = new StartedRuns((id, run) => void this.#expire(id, run))
  }

  start(id: string, owner: string, maxAge: number): Promise<StartedRun> {
    const [nonce, startedAt] = [newNonce(), clock.read()]
    const record: RunRecord = {
      ...{ epoch: nonce, owner, age: 0, maxAge: Math.min(maxAge, this.#stream.spec.maxAge) },
      ...{ first: 1, events: [] },
    }
    const started = (newest: RunRecord, sequence: number): StartedRun => {
      const run = new WritableRun(newest, sequence, startedAt)
      this.#started.add(id, run)
      return { ...run.state, isNew: true }
    }
    return retryBriefly(this.#connection, async (signal) => {
      signal.throwIfAborted()
      const sequence = await this.#stream.append(id, record, 0)
      if (sequence !== undefined) return started({ ...record, epoch: epochAt(nonce, sequence) }, sequence)
      const last = await this.#stream.last(id)
      // The response to an earlier attempt was lost.
      if (last?.record && isOfNonce(last.record.epoch, nonce)) return started(last.record, last.sequence)
      if (last?.record) return { ...stateOf(last.record), isNew: false }
      if (last) await this.#stream.purge(id, last.sequence + 1)
      throw new TransientError('an earlier run was removed')
    })
  }

  append(
    id: string,
    epoch: string,
    batch: RunBatch,
    retention: RunRetention,
    signal: AbortSignal,
  ): Promise<boolean> {
    return retry(this.#connection, () => this.#append(id, epoch, batch, retention, signal), signal)
  }

  /** Removes a run with all its messages. Returns whether there was one. */
  remove(id: string): Promise<boolean> {
    let epoch: string | undefined
    return retryBriefly(this.#connection, async (signal) => {
      for (;;) {
        signal.throwIfAborted()
        const last = await this.#stream.last(id)
        epoch ??= last?.record?.epoch
        // A run that was started meanwhile is kept.
        if (!last?.record || last.record.epoch !== epoch) break
        await this.#stream.purge(id, last.sequence + 1)
      }
      this.#started.delete(id, epoch)
      if (epoch) this.#stream.notifyWatchers(id)
      return epoch !== undefined
    })
  }

  close(): void {
    this.#started.close()
  }

  async #append(
    id: string,
    epoch: string,
    batch: RunBatch,
    retention: RunRetention,
    signal: AbortSignal,
  ): Promise<boolean> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      signal.throwIfAborted()
      const known = this.#started.get(id, epoch)
      const isCertain = known?.isCertain ?? false
      const run = isCertain ? known : await this.#lookUp(id, epoch)
      if (!run) return false
      if (!run.accepts(batch)) {
        const isStored = isSameBatch(run.newest, batch)
        // A server that failed before it responded may not have published the batch to the watchers.
        if (isStored && !isCertain) this.#stream.notifyWatchers(id)
        return isStored
      }
      if (await this.#tryAppend(id, run, batch, retention)) return true
    }
    throw new TransientError('another message of the run is in flight')
  }

  /** Appends a batch, unless the newest message is another one than expected. */
  async #tryAppend(id: string, run: WritableRun, batch: RunBatch, retention: RunRetention): Promise<boolean> {
    const record = run.next(batch, retention.keep, this.#stream.spec.maxAge)
    // Without a response, the batch may be stored.
    run.isCertain = false
    const sequence = await this.#stream.append(id, record, run.sequence)
    if (sequence === undefined) return false
    const evicted = run.onStored(record, sequence, retention)
    if (evicted !== undefined) void this.#stream.purge(id, evicted).catch(() => {})
    if (record.end) this.#started.end(id, run, record.keep)
    return true
  }

  /** Returns a run with its newest message as it is stored, or undefined if the run was removed. */
  async #lookUp(id: string, epoch: string): Promise<WritableRun | undefined> {
    const last = await this.#stream.last(id)
    const started = this.#started.get(id, epoch)
    if (last?.record?.epoch !== epoch) {
      this.#started.delete(id, epoch)
      return undefined
    }
    if (!started) return this.#writable(last.record, last)
    started.onLookedUp(last.record, last.sequence)
    if (last.record.end) this.#started.end(id, started, last.record.keep)
    return started
  }

  async #writable(record: RunRecord, { sequence, time }: StoredRecord): Promise<WritableRun> {
    const age = (await this.#stream.clock.now()) - time + record.age
    return new WritableRun(record, sequence, clock.read() - age)
  }

  async #expire(id: string, run: WritableRun): Promise<void> {
    if (!this.#connection.isUp) return
    await this.#stream.purge(id, run.sequence + 1).catch(() => {})
    this.#stream.notifyWatchers(id)
  }
}
