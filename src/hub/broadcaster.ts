import type { Frame } from '../event/frame.ts'
import { type Holder, holdForTurn, settleTurn } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import { MAX_WRITE } from '../stream/backlog.ts'

/** What was published on one channel, one after the other: no more than goes into one write. */
export interface Batch {
  readonly channel: string
  readonly entries: readonly LogEntry[]
  readonly frames: readonly [Frame, ...Frame[]]
}

/** Who follows a channel live. */
export interface Subscriber {
  /** `isTurnOver`: it may be written at once. */
  deliver(run: Batch, isTurnOver: boolean): void
}

// A turn that publishes more is handed out in parts.
const MAX_HELD = 1_000
const MAX_HELD_BYTES = 256 * 1024

/**
 * Those who follow channels live. What is published within a turn reaches each of them in one go: with thousands of
 * streams it is coming to one, not writing to it, that costs.
 */
export class Broadcaster implements Holder {
  readonly #subscribers = new Map<string, Set<Subscriber>>()
  #pending: LogEntry[] = []
  #pendingBytes = 0
  // While the application's code may run in the middle of a broadcast: what is to be done after it.
  #deferred: Array<() => void> | undefined

  add(channel: string, listener: Subscriber): void {
    // Who comes now has read what is held, and who leaves still gets it.
    settleTurn()
    const listeners = this.#subscribers.get(channel)
    if (listeners) listeners.add(listener)
    else this.#subscribers.set(channel, new Set([listener]))
  }

  remove(channel: string, listener: Subscriber): void {
    settleTurn()
    const listeners = this.#subscribers.get(channel)
    if (listeners?.delete(listener) && listeners.size === 0) this.#subscribers.delete(channel)
  }

  /** Has an entry delivered, by the end of the turn. */
  broadcast(entry: LogEntry): void {
    holdForTurn(this)
    this.#pendingBytes += entry.size
    if (this.#pending.push(entry) === MAX_HELD || this.#pendingBytes > MAX_HELD_BYTES) settleTurn()
  }

  /** @internal */
  _handOut(isTurnOver: boolean): void {
    const runs = toBatches(this.#pending)
    this.#pending = []
    this.#pendingBytes = 0
    this.whileFanningOut(() => {
      for (const run of runs)
        for (const listener of this.#subscribers.get(run.channel) ?? []) listener.deliver(run, isTurnOver)
    })
  }

  get isFanningOut(): boolean {
    return this.#deferred !== undefined
  }

  /** Does what may call a serialiser or a filter: these may publish and subscribe, and the entry comes first. */
  whileFanningOut<T>(work: () => T): T {
    if (this.isFanningOut) return work()
    const afterwards: Array<() => void> = []
    this.#deferred = afterwards
    try {
      return work()
    } finally {
      this.#deferred = undefined
      for (const each of afterwards) each()
    }
  }

  /** Does it when nothing is disturbed by it: now, or after what is being done. */
  runAfterFanOut(work: () => void): void {
    if (this.#deferred) this.#deferred.push(work)
    else work()
  }
}

function toBatches(entries: readonly LogEntry[]): Batch[] {
  const batches: EntryBatch[] = []
  let room = 0
  for (const entry of entries) {
    const last = batches.at(-1)
    room -= entry.size
    if (last?.channel === entry.channel && room >= 0) last.entries.push(entry)
    else {
      batches.push(new EntryBatch(entry))
      room = MAX_WRITE - entry.size
    }
  }
  return batches
}

class EntryBatch implements Batch {
  readonly channel: string
  readonly entries: LogEntry[]
  #frames: [Frame, ...Frame[]] | undefined

  constructor(first: LogEntry) {
    this.channel = first.channel
    this.entries = [first]
  }

  // Encoded for the first subscriber, so that events without one are not.
  get frames(): readonly [Frame, ...Frame[]] {
    this.#frames ??= this.entries.map(({ frame }) => frame) as [Frame, ...Frame[]]
    return this.#frames
  }
}
