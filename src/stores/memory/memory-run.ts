import { RingBuffer } from '../../ring-buffer.ts'
import { clock, type TimerTarget } from '../../scheduler/clock.ts'
import { lastNumberOf, sizeOf } from '../run-batch.ts'
import type { RunBatch, RunEndReason, RunEvent, RunRetention, RunState, RunWatcher } from '../run-store.ts'

/**
 * A run in memory. Its events are in one list, because most batches have one event. An array and an object for each
 * batch would be most of the objects that the garbage collector visits.
 */
export class MemoryRun implements TimerTarget {
  readonly epoch = crypto.randomUUID().slice(-12)
  readonly watchers = new Set<RunWatcher>()
  readonly #owner: string
  readonly #events = new RingBuffer<RunEvent>()
  #last = 0
  #end: RunEndReason | undefined
  #newest: RunBatch | undefined
  readonly #onExpired: () => void

  constructor(owner: string, onExpired: () => void) {
    this.#owner = owner
    this.#onExpired = onExpired
  }

  get state(): RunState {
    return { epoch: this.epoch, owner: this.#owner, last: this.#last, end: this.#end }
  }

  append(batch: RunBatch, { evictBefore, keep }: RunRetention): boolean {
    if (batch.first !== this.#last + 1 || this.#end) return batch === this.#newest
    for (const event of batch.events) this.#events.push(event)
    this.#last = lastNumberOf(batch)
    this.#end = batch.end
    this.#newest = batch
    // The newest batch is never evicted.
    this.#evict(Math.min(evictBefore, batch.first))
    if (keep !== undefined) this.expireAt(clock.read() + keep)
    for (const watcher of this.watchers) watcher.onBatch(batch)
    return true
  }

  /** Returns events after a number as one batch. */
  read(after: number, bytes: number): RunBatch[] {
    const first = Math.max(after + 1, this.#first)
    const events: RunEvent[] = []
    let size = 0
    for (let number = first; number <= this.#last; number++) {
      const event = this.#events.at(number - this.#first) as RunEvent
      size += sizeOf(event)
      if (size > bytes && events.length > 0) break
      events.push(event)
    }
    if (events.length === 0) return []
    return [{ first, events, end: first + events.length > this.#last ? this.#end : undefined }]
  }

  /** Schedules the removal of the run at a time of `clock`, in ms. Undefined cancels it. */
  expireAt(time: number | undefined): void {
    if (time === undefined) clock.cancel(this)
    else clock.schedule(this, time)
  }

  /** @internal */
  _onTimer(): void {
    this.#onExpired()
  }

  /** The number of the oldest event that is kept. */
  get #first(): number {
    return this.#last - this.#events.length + 1
  }

  #evict(before: number): void {
    for (let left = before - this.#first; left > 0; left--) this.#events.shift()
  }
}
