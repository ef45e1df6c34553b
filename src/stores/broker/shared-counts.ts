import { outsideRequests } from '../../scheduler/context.ts'
import { type Flushable, turn } from '../../scheduler/turn.ts'
import type { StreamCounts } from '../stream-counts.ts'
import { countKeyOf } from './count-key.ts'
import type { CountsDriver } from './counts-driver.ts'
import { withSignal } from './deadline.ts'
import { closedError } from './errors.ts'
import { KeyCount, type KeyCountListener } from './key-count.ts'

/** How often a lease is renewed within its time. */
const TICKS_PER_LEASE = 3
// The maximum of keys in one command.
const MAX_KEYS = 64
const MAX_IN_FLIGHT = 4
// How long an acquire waits for its command, in timeouts. During an outage, earlier commands fail before.
const MAX_WAIT = 3

export interface SharedCountsSettings {
  /** How long the counts of a process are kept without a renewal, in ms. */
  readonly lease: number
  /** The timeout of a command, in ms. */
  readonly timeout: number
}

/**
 * Counts that several processes share. Each process stores how many streams it has for a key. A repeated command
 * therefore does not count twice, and lost counts are stored again. A key has one command in flight, with all acquires
 * that wait for it.
 */
export class SharedCounts implements StreamCounts, Flushable {
  readonly #driver: CountsDriver
  readonly #settings: SharedCountsSettings
  readonly #listener: KeyCountListener
  readonly #counts = new Map<string, KeyCount>()
  // The counts with waiting acquires, or with a stored value that may be wrong.
  readonly #queue = new Set<KeyCount>()
  #refreshing: Iterator<KeyCount> | undefined
  #inFlight = 0
  #isScheduled = false
  // The failure of the broker. While it is set, acquires fail at once.
  #failure: unknown
  #timer: ReturnType<typeof setInterval> | undefined
  #tickedAt = 0
  #isClosed = false

  constructor(driver: CountsDriver, settings: SharedCountsSettings) {
    this.#driver = driver
    this.#settings = settings
    this.#listener = {
      timeout: MAX_WAIT * settings.timeout,
      onWaiting: (count) => this.#enqueue(count),
      // A key without streams is not stored, so that clients cannot cause more work than the broker can do.
      onExpired: (count) => this.#removeIdle(count),
    }
    driver.open(() => this.#storeAll())
  }

  async acquire(key: string, max: number): Promise<boolean> {
    if (this.#isClosed) throw closedError()
    const count = this.#counts.get(countKeyOf(key))
    if (count && count.held >= max) return false
    if (this.#failure) throw this.#failure
    return this.#countOf(key).wait(max, this.#listener)
  }

  add(key: string): void {
    if (this.#isClosed) return
    const count = this.#countOf(key)
    count.held += 1
    this.#enqueue(count)
  }

  release(key: string): void {
    const count = this.#counts.get(countKeyOf(key))
    if (!count || count.held === 0) return
    count.held -= 1
    // During an outage, keys that clients choose would otherwise accumulate.
    if (!this.#removeIdle(count)) this.#enqueue(count)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stop()
    for (const count of this.#counts.values()) {
      count.rejectInFlight(closedError())
      count.rejectWaiting(closedError())
    }
    this.#counts.clear()
    this.#queue.clear()
    await this.#driver.close()
  }

  /** @internal */
  _flush(): void {
    this.#isScheduled = false
    this.#drain()
  }

  #countOf(key: string): KeyCount {
    const name = countKeyOf(key)
    const count = this.#counts.get(name) ?? new KeyCount(name)
    this.#counts.set(name, count)
    this.#start()
    return count
  }

  #enqueue(count: KeyCount): void {
    this.#queue.add(count)
    if (!this.#isScheduled) turn.scheduleFlush(this)
    this.#isScheduled = true
  }

  // During an outage, the counts wait for the next tick.
  #drain(): void {
    while (this.#inFlight < MAX_IN_FLIGHT && !this.#failure && !this.#isClosed) {
      const batch = takeIdle(this.#queue.values())
      if (batch.length === 0) return
      void this.#update(batch)
    }
  }

  /** Stores counts, and admits acquires that wait for them. Without counts, it only renews the lease. */
  async #update(counts: readonly KeyCount[]): Promise<void> {
    for (const count of counts) this.#queue.delete(count)
    const updates = counts.map((count) => count.begin())
    this.#inFlight += 1
    try {
      const { timeout } = this.#settings
      const update = (signal: AbortSignal) => this.#driver.update(updates, signal)
      const stored = await withSignal(timeout, update, () => this.#driver.failure)
      for (const [at, count] of counts.entries()) this.#onStored(count, stored[at] as number | Error)
      this.#onResponse()
    } catch (error) {
      this.#fail(counts, error)
    }
    this.#inFlight -= 1
    for (const count of counts) this.#settle(count)
    this.#drain()
  }

  // An error concerns this key only.
  #onStored(count: KeyCount, result: number | Error): void {
    if (typeof result !== 'number') count.rejectKey(result)
    else if (count.end(result)) this.#queue.add(count)
  }

  // Other processes may have dropped the counts during an outage.
  #onResponse(): void {
    if (this.#failure) this.#storeAll()
    this.#failure = undefined
  }

  // The counts may be stored or not, so they are stored again.
  #fail(counts: readonly KeyCount[], error: unknown): void {
    if (this.#isClosed) return
    this.#failure = error
    for (const count of counts) {
      count.rejectInFlight(error)
      this.#queue.add(count)
    }
    for (const count of this.#queue) {
      count.rejectWaiting(error)
      this.#removeIdle(count)
    }
  }

  #settle(count: KeyCount): void {
    count.isBusy = false
    if (count.isWaiting && !this.#isClosed) this.#queue.add(count)
    this.#removeIdle(count)
  }

  /** Removes a count that is not needed any more. Returns whether it did. */
  #removeIdle(count: KeyCount): boolean {
    if (!count.isIdle) return false
    this.#queue.delete(count)
    return this.#counts.delete(count.key)
  }

  // Enqueues all counts, except those in flight, which are stored anyway.
  #storeAll(): void {
    for (const count of this.#counts.values()) if (!count.isBusy) this.#enqueue(count)
  }

  #start(): void {
    if (this.#timer) return
    this.#tickedAt = performance.now()
    this.#timer = outsideRequests(setInterval, () => this.#tick(), this.#settings.lease / TICKS_PER_LEASE)
    this.#timer.unref?.()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    const now = performance.now()
    // Other processes may have dropped the counts of a process that was frozen.
    if (now - this.#tickedAt > this.#settings.lease) this.#storeAll()
    this.#tickedAt = now
    if (this.#counts.size === 0 && !this.#failure) this.#stop()
    else if (this.#inFlight < MAX_IN_FLIGHT) void this.#update(this.#nextToRefresh())
  }

  /** Returns the next counts to store again, a part of all at each tick, so that the broker keeps them. */
  #nextToRefresh(): KeyCount[] {
    const ticks = Math.max(1, (this.#driver.keep / 2 / this.#settings.lease) * TICKS_PER_LEASE)
    const limit = Math.ceil(this.#counts.size / ticks)
    this.#refreshing ??= this.#counts.values()
    const batch = takeIdle(this.#refreshing, limit)
    if (batch.length < limit) this.#refreshing = undefined
    return batch
  }
}

/** Returns the next counts without a command in flight. The iterator stays usable. */
function takeIdle(counts: Iterator<KeyCount>, limit = MAX_KEYS): KeyCount[] {
  const batch: KeyCount[] = []
  while (batch.length < limit) {
    const { done, value } = counts.next()
    if (done) break
    if (!value.isBusy) batch.push(value)
  }
  return batch
}
