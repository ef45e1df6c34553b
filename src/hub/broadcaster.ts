import { type FanOut, type PositionSender, turn } from '../scheduler/turn.ts'
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
export class Broadcaster implements FanOut, PositionSender {
  readonly #hub: Hub
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  #pending: LogEntry[] = []
  #pendingBytes = 0
  #announced: Subscriber[] = []
  #isScheduled = false
  // The work to be done after the present fan-out, in which filters and listeners of the application run.
  #deferred: Array<() => void> | undefined

  constructor(hub: Hub) {
    this.#hub = hub
  }

  add(channel: string, subscriber: Subscriber): void {
    // Pending entries are delivered first, because a new subscriber has already read them from the store.
    turn.fanOutNow()
    const subscribers = this.#subscribers.get(channel)
    if (subscribers) subscribers.add(subscriber)
    else this.#subscribers.set(channel, new Set([subscriber]))
  }

  remove(channel: string, subscriber: Subscriber): void {
    // Pending entries are delivered first, because they were published before the subscriber is removed.
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

  /** Schedules `_onTurnEnd` of a subscriber, so that its position goes out with the events of the turn. */
  announce(subscriber: Subscriber): void {
    if (this.#announced.push(subscriber) === 1) turn.schedulePositions(this)
  }

  /** Runs work now or, during a fan-out, after it. */
  runAfterFanOut(work: () => void): void {
    if (this.#deferred) this.#deferred.push(work)
    else work()
  }

  /** @internal */
  _fanOut(isTurnOver: boolean): void {
    this.#isScheduled = false
    // Entries that a filter or a listener publishes are delivered after the present ones, to every subscriber.
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
  }

  /** @internal */
  _sendPositions(): void {
    // The entries of a deferred fan-out precede the positions.
    if (this.#isScheduled) {
      turn.schedulePositions(this)
      return
    }
    const announced = this.#announced
    this.#announced = []
    for (const subscriber of announced) subscriber._onTurnEnd()
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

  #schedule(): void {
    if (!this.#isScheduled) turn.scheduleFanOut(this)
    this.#isScheduled = true
  }
}
