import { Frame } from '../event/frame.ts'
import type { Format } from '../formats/format.ts'
import { type FanOut, turn } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { FrameBatch, SharedBatch } from '../stream/attachments.ts'
import { MAX_WRITE } from '../stream/backlog.ts'

/** Consecutive entries of one channel, no more than go into one write. */
export class Batch implements SharedBatch {
  readonly channel: string
  readonly entries: LogEntry[] = []
  /** The id of the newest entry. */
  lastId = ''
  #room = MAX_WRITE
  // For each format that a subscriber has.
  readonly #encoded: EncodedBatch[] = []

  constructor(channel: string) {
    this.channel = channel
  }

  in(format: Format): FrameBatch {
    for (const present of this.#encoded) if (present.format === format) return present
    const encoded = new EncodedBatch(this.entries, format)
    this.#encoded.push(encoded)
    return encoded
  }

  hasRoomFor({ size }: LogEntry): boolean {
    return size <= this.#room
  }

  push(entry: LogEntry): void {
    this.entries.push(entry)
    this.lastId = entry.id
    this.#room -= entry.size
  }
}

/** A batch in one format. */
class EncodedBatch implements FrameBatch {
  readonly format: Format
  readonly #entries: readonly LogEntry[]
  #frames: readonly Frame[] | undefined
  #joined: Frame | undefined

  constructor(entries: readonly LogEntry[], format: Format) {
    this.format = format
    this.#entries = entries
  }

  get frames(): readonly Frame[] {
    this.#frames ??= this.#entries.map((entry) => entry.frameIn(this.format))
    return this.#frames
  }

  get joined(): Frame {
    this.#joined ??= this.frames.length === 1 ? (this.frames[0] as Frame) : Frame.join(this.frames)
    return this.#joined
  }
}

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
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  #pending: LogEntry[] = []
  #pendingBytes = 0
  #announced: Subscriber[] = []
  #isScheduled = false
  // During a fan-out, in which filters and listeners of the application run: the work to be done after it.
  #deferred: Array<() => void> | undefined

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
      for (const batch of batches)
        for (const subscriber of this.#subscribers.get(batch.channel) ?? [])
          subscriber.deliver(batch, isTurnOver)
    } finally {
      this.#deferred = undefined
      for (const work of deferred) work()
    }
    if (this.#announced.length > 0) this.#callAnnounced(isTurnOver)
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

function toBatches(entries: readonly LogEntry[]): Batch[] {
  const batches: Batch[] = []
  for (const entry of entries) {
    const last = batches.at(-1)
    const batch = last?.channel === entry.channel && last.hasRoomFor(entry) ? last : new Batch(entry.channel)
    if (batch !== last) batches.push(batch)
    batch.push(entry)
  }
  return batches
}
