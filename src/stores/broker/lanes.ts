import { OrderedMap } from '../../ordered-map.ts'
import type { Compare } from './driver.ts'
import { Lane } from './lane.ts'
import type { Segment } from './segment.ts'

// How long a segment is kept without a reader, in ms.
const KEPT_FOR = 5_000

/**
 * The lanes of a log. Their segments are kept for a short time, within one budget in bytes. No read visits all lanes,
 * because thousands of clients may each have a channel of their own.
 */
export class Lanes implements Iterable<Lane> {
  readonly #compare: Compare
  readonly #lanes = new Map<string | undefined, Lane>()
  // The lanes in which clients may wait, in the order in which they are served.
  readonly #waiting = new OrderedMap<Lane, true>()
  // The segments of all lanes. The least recently used one is first.
  readonly #kept = new OrderedMap<Segment, Lane>()
  #bytes = 0
  #expiry: ReturnType<typeof setTimeout> | undefined

  constructor(compare: Compare) {
    this.#compare = compare
  }

  [Symbol.iterator](): Iterator<Lane> {
    return this.#lanes.values()
  }

  /** Returns how many other channels than these have a lane of their own. */
  othersThan(channels: ReadonlySet<string>): number {
    let count = this.#lanes.size
    for (const channel of [undefined, ...channels]) count -= Number(this.#lanes.has(channel))
    return count
  }

  /** Returns the lane of a channel, or that of all channels. */
  of(channel: string | undefined): Lane {
    const lane = this.#lanes.get(channel) ?? new Lane(channel, this.#compare)
    this.#lanes.set(channel, lane)
    this.#expiry ??= this.#expireLater()
    return lane
  }

  /** The number of lanes in which clients may wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Serves a lane, because a client waits in it. */
  addWaiting(lane: Lane): void {
    this.#waiting.set(lane, true)
  }

  /** Returns the next lane, which is served again after the others. Undefined if no client waits in it. */
  nextWaiting(): Lane | undefined {
    const lane = this.#waiting.shift()
    if (!lane?.isWaiting) return undefined
    this.#waiting.set(lane, true)
    return lane
  }

  /** The memory that all segments hold, in bytes. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds a segment to a lane. Evicts the least recently used segments, down to a budget in bytes. */
  add(lane: Lane, added: Segment, budget: number): void {
    lane.addSegment(added)
    this.#kept.set(added, lane)
    this.#bytes += added.bytes
    added.onRead = (grownBy) => {
      if (!this.#kept.delete(added)) return
      this.#kept.set(added, lane)
      this.#bytes += grownBy
    }
    // The clients that wait for the new segment have not read it yet.
    while (this.#bytes > budget && this.#kept.oldest !== added) this.#removeOldest()
  }

  /** Removes all segments. */
  clear(): void {
    for (const lane of this) lane.clear()
    this.#kept.clear()
    this.#bytes = 0
  }

  close(): void {
    clearTimeout(this.#expiry)
    this.#lanes.clear()
  }

  #removeOldest(): void {
    const segment = this.#kept.oldest as Segment
    this.#kept.get(segment)?.removeSegment(segment)
    this.#kept.delete(segment)
    this.#bytes -= segment.bytes
  }

  #expireLater() {
    const timer = setTimeout(() => {
      const time = performance.now() - KEPT_FOR
      while ((this.#kept.oldest?.usedAt ?? Number.POSITIVE_INFINITY) <= time) this.#removeOldest()
      for (const lane of [...this]) if (lane.isUnused) this.#lanes.delete(lane.channel)
      this.#expiry = this.#lanes.size > 0 ? this.#expireLater() : undefined
    }, KEPT_FOR)
    timer.unref?.()
    return timer
  }
}
