import type { LogEntry } from '../stores/log-entry.ts'
import type { Stage } from './history.ts'

/** The starts of channels in the order of the log, and which of them a replay has passed. */
export class StartOrder {
  readonly #compare: (a: string, b: string) => number
  // Each start once. The last one is that of all channels without a start of their own.
  readonly #order: readonly string[]
  // The index of each channel's start.
  readonly #ranks = new Map<string, number>()
  // The index of the first start that was not passed.
  #next = 0

  /** `last` MUST NOT be before any start. */
  constructor(starts: ReadonlyMap<string, string>, last: string, compare: (a: string, b: string) => number) {
    this.#compare = compare
    const order: string[] = []
    for (const [channel, start] of [...starts].sort(([, a], [, b]) => compare(a, b))) {
      if (order.at(-1) !== start) order.push(start)
      this.#ranks.set(channel, order.length - 1)
    }
    if (order.at(-1) !== last) order.push(last)
    this.#order = order
  }

  get length(): number {
    return this.#order.length
  }

  /** Passes all starts up to a position. Returns the last one of them, or undefined if there is none. */
  passTo(position: string): string | undefined {
    return this.#passWhile((start) => this.#compare(start, position) <= 0)
  }

  /** Passes all starts before a position. Returns the last one of them, or undefined if there is none. */
  passBefore(position: string): string | undefined {
    return this.#passWhile((start) => this.#compare(start, position) < 0)
  }

  /** Returns the channels whose start was passed, or is one of the next `ahead` starts. */
  stage(channels: readonly string[], ahead: number): Stage {
    const end = this.#next + ahead
    const started = channels.filter((channel) => this.#rankOf(channel) < end)
    return { channels: started, end: started.length < channels.length ? this.#order[end] : undefined }
  }

  /** Returns the start of a channel, or undefined if it was passed. */
  startOf(channel: string): string | undefined {
    const rank = this.#rankOf(channel)
    return rank < this.#next ? undefined : this.#order[rank]
  }

  /** Whether an entry is after the start of its channel. */
  isStarted({ channel, id }: LogEntry): boolean {
    const start = this.startOf(channel)
    return start === undefined || this.#compare(id, start) > 0
  }

  #rankOf(channel: string): number {
    return this.#ranks.get(channel) ?? this.#order.length - 1
  }

  #passWhile(isPassed: (start: string) => boolean): string | undefined {
    const first = this.#next
    for (let start = this.#order[first]; start !== undefined && isPassed(start); )
      start = this.#order[++this.#next]
    return this.#next > first ? this.#order[this.#next - 1] : undefined
  }
}
