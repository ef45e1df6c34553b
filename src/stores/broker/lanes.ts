import type { Compare } from './driver.ts'
import { Lane } from './lane.ts'
import type { Segment } from './segment.ts'

// How long a segment is kept without a reader, in ms.
const KEPT_FOR = 5_000

/** The lanes of a log. Their segments are kept for a short time, within one budget in bytes. */
export class Lanes implements Iterable<Lane> {
  readonly #compare: Compare
  // In the order in which they are served.
  readonly #lanes = new Map<string | undefined, Lane>()
  #expiry: ReturnType<typeof setTimeout> | undefined

  constructor(compare: Compare) {
    this.#compare = compare
  }

  [Symbol.iterator](): Iterator<Lane> {
    return this.#lanes.values()
  }

  /** The channels that have a lane of their own. */
  get channels(): string[] {
    return [...this.#lanes.keys()].filter((channel) => channel !== undefined)
  }

  /** Returns the lane of a channel, or that of all channels. */
  of(channel: string | undefined): Lane {
    const lane = this.#lanes.get(channel) ?? new Lane(channel, this.#compare)
    this.#lanes.set(channel, lane)
    this.#expiry ??= this.#expireLater()
    return lane
  }

  /** Moves a lane behind the others. */
  moveLast(lane: Lane): void {
    this.#lanes.delete(lane.channel)
    this.#lanes.set(lane.channel, lane)
  }

  /** The memory that all segments hold, in bytes. */
  get bytes(): number {
    return this.#segments().reduce((sum, [, { bytes }]) => sum + bytes, 0)
  }

  /** Adds a segment to a lane. Evicts the least recently used segments, down to a budget in bytes. */
  add(lane: Lane, added: Segment, budget: number): void {
    lane.addSegment(added)
    let excess = this.bytes - budget
    if (excess <= 0) return
    for (const [owner, segment] of this.#segments().sort(([, a], [, b]) => a.usedAt - b.usedAt)) {
      // The clients that wait for the new segment have not read it yet.
      if (segment === added) continue
      owner.removeSegment(segment)
      excess -= segment.bytes
      if (excess <= 0) return
    }
  }

  /** Removes all segments. */
  clear(): void {
    for (const lane of this) lane.clear()
  }

  close(): void {
    clearTimeout(this.#expiry)
    this.#lanes.clear()
  }

  #expireLater() {
    const timer = setTimeout(() => {
      const time = performance.now() - KEPT_FOR
      for (const [lane, segment] of this.#segments()) if (segment.usedAt <= time) lane.removeSegment(segment)
      for (const lane of [...this]) if (lane.isUnused) this.#lanes.delete(lane.channel)
      this.#expiry = this.#lanes.size > 0 ? this.#expireLater() : undefined
    }, KEPT_FOR)
    timer.unref?.()
    return timer
  }

  #segments(): Array<[Lane, Segment]> {
    return [...this].flatMap((lane) => lane.segments.map((segment): [Lane, Segment] => [lane, segment]))
  }
}
