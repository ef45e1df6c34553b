import { clock } from '../../../scheduler/clock.ts'
import { lastNumberOf } from '../../run-batch.ts'
import type { RunBatch, RunRetention, RunState } from '../../run-store.ts'
import { Checkpoints } from './checkpoints.ts'
import { type RunRecord, stateOf } from './run-record.ts'

/** The state of a run in this process, from which its next message is created, and which that message must follow. */
export class WritableRun {
  readonly epoch: string
  /** The newest message, whose record may be the start of the run. */
  newest: RunRecord
  sequence: number
  /** False if the newest message may be another one. */
  isCertain = true
  // When the run was started, on the local clock.
  readonly #startedAt: number
  readonly #checkpoints = new Checkpoints()

  /** `startedAt` is a time of `clock`. */
  constructor(newest: RunRecord, sequence: number, startedAt: number) {
    this.epoch = newest.epoch
    this.newest = newest
    this.sequence = sequence
    this.#startedAt = startedAt
  }

  get state(): RunState {
    return stateOf(this.newest)
  }

  /** The time until the run has its maximum age, in ms. */
  get remaining(): number {
    return this.#startedAt + this.newest.maxAge - clock.read()
  }

  /** Whether a batch is the next one. */
  accepts({ first }: RunBatch): boolean {
    return first === lastNumberOf(this.newest) + 1 && !this.newest.end && this.remaining > 0
  }

  /** Returns the next record. `oldest` is how long the stream keeps a message, in ms. */
  next(batch: RunBatch, keep: number | undefined, oldest: number): RunRecord {
    const { epoch, owner, maxAge } = this.newest
    const age = clock.read() - this.#startedAt
    const kept = keep === undefined ? undefined : Math.max(0, Math.min(keep, oldest - age))
    return { ...batch, epoch, owner, maxAge, age, keep: kept }
  }

  /** Notes that a record was stored. Returns the sequence before which messages are now evicted, if any. */
  onStored(record: RunRecord, sequence: number, { evictBefore }: RunRetention): number | undefined {
    this.onLookedUp(record, sequence)
    this.#checkpoints.add(record.first, sequence)
    return this.#checkpoints.evict(evictBefore, lastNumberOf(record))
  }

  /** Notes the newest message that was looked up. */
  onLookedUp(newest: RunRecord, sequence: number): void {
    this.newest = newest
    this.sequence = sequence
    this.isCertain = true
  }
}
