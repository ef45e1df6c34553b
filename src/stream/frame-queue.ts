import { Frame } from '../event/frame.ts'
import { OrderedMap } from '../ordered-map.ts'
import { RingBuffer } from '../ring-buffer.ts'
import { TurnCache } from '../scheduler/turn-cache.ts'

/** Queued frames, oldest first, as references to shared frames. */
export interface FrameQueue {
  readonly length: number
  /** Bytes of all payloads in it. */
  readonly bytes: number
  /** Events in it: all frames but comments and positions. */
  readonly events: number
  push(frame: Frame): void
  /** Returns the queued frame that this one would replace. */
  replacedBy(frame: Frame): Frame | undefined
  /** Removes and returns the oldest frame. */
  shift(): Frame | undefined
  /** Returns the oldest frame without removing it. */
  peek(): Frame | undefined
  /** Returns a queue of the same frames that keeps only the newest of each key: itself or a new one. */
  conflate(keyOf: KeyOf): FrameQueue
}

/** Keeps every frame. */
export class RingQueue extends RingBuffer<Frame> implements FrameQueue {
  bytes = 0
  events = 0

  override push(frame: Frame): void {
    super.push(frame)
    this.bytes += frame.size
    this.events += frame.events
  }

  override shift(): Frame | undefined {
    const frame = super.shift()
    this.bytes -= frame?.size ?? 0
    this.events -= frame?.events ?? 0
    return frame
  }

  replacedBy(): undefined {}

  peek(): Frame | undefined {
    return this.at(0)
  }

  conflate(keyOf: KeyOf): FrameQueue {
    return new ConflatedQueue(keyOf, this)
  }
}

/** Returns the key whose newest value a frame is, or the frame itself if it MUST be kept in any case. */
export type KeyOf = (frame: Frame) => string | Frame

/** Returns the key of each frame that has one, so that only the newest frame of each key is kept. */
export const anyKey: KeyOf = (frame) => frame.key ?? frame

/** Returns the key of each frame of a channel that conflates. The frames of other channels are kept. */
export const conflatedKey: KeyOf = (frame) => (frame.isConflated && frame.key) || frame

/** Keeps the newest frame of each key. A newer one is queued at the end. */
export class ConflatedQueue implements FrameQueue {
  bytes = 0
  events = 0
  readonly keyOf: KeyOf
  readonly #newest = new OrderedMap<string | Frame, Frame>()

  /** Moves the frames of another queue into this one. */
  constructor(keyOf: KeyOf, frames: FrameQueue) {
    this.keyOf = keyOf
    for (let frame = frames.shift(); frame; frame = frames.shift()) this.push(frame)
  }

  get length(): number {
    return this.#newest.size
  }

  push(frame: Frame): void {
    const key = this.keyOf(frame)
    this.#remove(key)
    this.#newest.set(key, frame)
    this.bytes += frame.size
    this.events += frame.events
  }

  replacedBy(frame: Frame): Frame | undefined {
    return this.#newest.get(this.keyOf(frame))
  }

  shift(): Frame | undefined {
    const frame = this.peek()
    if (frame) this.#remove(this.keyOf(frame))
    return frame
  }

  peek(): Frame | undefined {
    const { oldest } = this.#newest
    return oldest === undefined ? undefined : this.#newest.get(oldest)
  }

  conflate(keyOf: KeyOf): FrameQueue {
    // A queue by `anyKey` already keeps only the newest frame of each key, whatever its channel.
    return keyOf === this.keyOf || this.keyOf === anyKey ? this : new ConflatedQueue(keyOf, this)
  }

  #remove(key: string | Frame): void {
    const frame = this.#newest.get(key)
    this.bytes -= frame?.size ?? 0
    this.events -= frame?.events ?? 0
    this.#newest.delete(key)
  }
}

const joins = new TurnCache<Frame, Frame>()

/**
 * Removes the oldest frames of a queue and returns them joined for one write. Removes at least one, and then as many as
 * the limits allow. Returns undefined if the queue is empty.
 */
export function takeBatch(queue: FrameQueue, maxBytes: number, maxEvents: number): Frame | undefined {
  const first = queue.shift()
  if (first === undefined || queue.length === 0) return first
  const frames: Frame[] = [first]
  let [room, events] = [maxBytes - first.size, first.events]
  for (let next = queue.peek(); next && next.size <= room; next = queue.peek()) {
    events += next.events
    if (events > maxEvents) break
    room -= next.size
    frames.push(next)
    queue.shift()
  }
  return frames.length === 1 ? first : joins.get(frames, Frame.join)
}
