import { type FanOut, turn } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import { type Batch, toBatches } from './batch.ts'
import { fanOutChannel } from './diagnostics.ts'
import type { Hub } from './hub.ts'

/** Receives the entries of the channels to which it is added. */
export interface Subscriber {
  /** `isTurnOver`: the batch may be written at once. */
  deliver(batch: Batch, isTurnOver: boolean): void
  /** @internal Called once after `announce`, at the end of the turn and after its entries. */
  _onTurnEnd(): void
}

// A turn that publishes more is delivered in parts.
const MAX_PENDING = 1_000
const MAX_PENDING_BYTES = 256 * 1024

/**
 * The live subscribers of each channel. Events published in one turn are delivered to a subscriber together: with
 * thousands of streams, visiting each one costs more than writing to it.
 */
export class Broadcaster implements FanOut {
  readonly #hub: Hub
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  #pending: LogEntry[] = []
  #pendingBytes = 0
  #announced: Subscriber[] = []
  #isScheduled = false
  // During a fan-out, in which filters and listeners of the application run: the work to be done after it.
  #deferred: Array<() => void> | undefined

  constructor(hub: Hub) {
    this.#hub = hub
  }

  add(channel: string, subscriber: Subscriber): void {
    // Deliver pending entries first: a new subscriber has already read them from the store, and a leaving one is still
    // owed them.
    turn.fanOutNow()
    const subscribers = this.#subscribers.get(channel)
    if (subscribers) subscribers.add(subscriber)
    else this.#subscribers.set(channel, new Set([subscriber]))
  }

  remove(channel: string, subscriber: Subscriber): void {
    turn.fanOutNow()
    const subscribers = this.#subscribers.get(channel)
    if (subscribers?.delete(subscriber) && subscribers.size === 0) this.#subscribers.delete(channel)
  }

  /** Delivers an entry to the subscribers of its channel, by the end of the turn. */
  broadcast(entry: LogEntry): void {
    if (!this.#subscribers.has(entry.channel)) return
    this.#schedule()
    this.#pendingBytes += entry.size
    if (this.#pending.push(entry) === MAX_PENDING || this.#pendingBytes > MAX_PENDING_BYTES) turn.fanOutNow()
  }

  /** Has a subscriber called at the end of the turn, so that its position goes out with the events of the turn. */
  announce(subscriber: Subscriber): void {
    this.#schedule()
    this.#announced.push(subscriber)
  }

  get isFanningOut(): boolean {
    return this.#deferred !== undefined
  }

  /** Runs work now or, during a fan-out, after it. */
  runAfterFanOut(work: () => void): void {
    if (this.#deferred) this.#deferred.push(work)
    else work()
  }

  /** @internal */
  _fanOut(isTurnOver: boolean): void {
    this.#isScheduled = false
    // Entries published by a filter or a listener come after the present ones, for every subscriber.
    if (this.#deferred) return void this.#deferred.push(() => this._fanOut(false))
    const batches = toBatches(this.#pending)
    const deferred: Array<() => void> = []
    this.#pending = []
    this.#pendingBytes = 0
    this.#deferred = deferred
    try {
      for (const batch of batches) this.#deliver(batch, isTurnOver)
    } finally {
      this.#deferred = undefined
      for (const work of deferred) work()
    }
    if (this.#announced.length > 0) this.#callAnnounced(isTurnOver)
  }

  #deliver(batch: Batch, isTurnOver: boolean): void {
    const subscribers = this.#subscribers.get(batch.channel)
    if (!subscribers) return
    const startedAt = fanOutChannel.hasSubscribers ? performance.now() : undefined
    // Counted, because a filter may remove subscribers meanwhile.
    let count = 0
    for (const subscriber of subscribers) {
      count += 1
      subscriber.deliver(batch, isTurnOver)
    }
    if (startedAt !== undefined) this.#report(batch, count, startedAt)
  }

  #report({ channel, entries, filtered, deferred }: Batch, subscribers: number, startedAt: number): void {
    const duration = performance.now() - startedAt
    fanOutChannel.publish({
      ...{ hub: this.#hub, channel, entries, subscribers },
      ...{ filtered, deferred, duration },
    })
  }

  #callAnnounced(isTurnOver: boolean): void {
    // A deferred fan-out may have been scheduled, whose entries come before the positions.
    if (!isTurnOver || this.#isScheduled) {
      this.#schedule()
      return
    }
    const announced = this.#announced
    this.#announced = []
    for (const subscriber of announced) subscriber._onTurnEnd()
  }

  #schedule(): void {
    if (!this.#isScheduled) turn.scheduleFanOut(this)
    this.#isScheduled = true
  }
}
