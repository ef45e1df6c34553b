import { Frame } from './frame.ts'

/** Frames that wait, oldest first, held as references to shared frames. */
export interface FrameQueue {
  readonly length: number
  /** Bytes of all payloads in it. */
  readonly bytes: number
  push(frame: Frame): void
  /** Takes the oldest. */
  shift(): Frame | undefined
  /** The oldest, left where it is. */
  peek(): Frame | undefined
}

const SMALL = 4

/** A ring: it grows by doubling and lets go of its memory when a backlog is gone. */
export class RingQueue implements FrameQueue {
  length = 0
  bytes = 0
  #head = 0
  #slots: Array<Frame | undefined> = new Array(SMALL)

  push(frame: Frame): void {
    if (this.length === this.#slots.length) this.#resize(this.length * 2)
    this.#slots[this.#slot(this.length)] = frame
    this.length += 1
    this.bytes += frame.size
  }

  shift(): Frame | undefined {
    const frame = this.peek()
    if (frame === undefined) return undefined
    this.#slots[this.#head] = undefined
    this.#head = this.#slot(1)
    this.length -= 1
    this.bytes -= frame.size
    if (this.length === 0 && this.#slots.length > SMALL * SMALL) this.#resize(SMALL)
    return frame
  }

  peek(): Frame | undefined {
    return this.#slots[this.#head]
  }

  // The number of slots is a power of two, so that a mask wraps around.
  #slot(place: number): number {
    return (this.#head + place) & (this.#slots.length - 1)
  }

  #resize(size: number): void {
    const slots: Array<Frame | undefined> = new Array(size)
    for (let place = 0; place < this.length; place++) slots[place] = this.#slots[this.#slot(place)]
    this.#slots = slots
    this.#head = 0
  }
}

/** Keeps the newest frame of each key; a newer one waits at the end. Frames without a key are all kept. */
export class ConflatedQueue implements FrameQueue {
  bytes = 0
  // A Map hands out its entries in the order in which their keys were set.
  readonly #newest = new Map<string | Frame, Frame>()

  /** The frames of `backlog`, conflated. */
  static from(backlog: FrameQueue): ConflatedQueue {
    const queue = new ConflatedQueue()
    for (let frame = backlog.shift(); frame; frame = backlog.shift()) queue.push(frame)
    return queue
  }

  get length(): number {
    return this.#newest.size
  }

  push(frame: Frame): void {
    const key = frame.key ?? frame
    this.#remove(key)
    this.#newest.set(key, frame)
    this.bytes += frame.size
  }

  shift(): Frame | undefined {
    const frame = this.peek()
    if (frame) this.#remove(frame.key ?? frame)
    return frame
  }

  peek(): Frame | undefined {
    return this.#newest.values().next().value
  }

  #remove(key: string | Frame): void {
    this.bytes -= this.#newest.get(key)?.size ?? 0
    this.#newest.delete(key)
  }
}

/** Takes the oldest frames, at least one and then as many as `maxBytes` holds, as one frame to write. */
export function takeRun(queue: FrameQueue, maxBytes: number): Frame | undefined {
  const first = queue.shift()
  if (first === undefined || queue.length === 0) return first
  const run = [first]
  let room = maxBytes - first.size
  for (let next = queue.peek(); next && next.size <= room; next = queue.peek()) {
    room -= next.size
    run.push(next)
    queue.shift()
  }
  return run.length === 1 ? first : joined(run)
}

let lastRun: readonly Frame[] = []
let lastJoined: Frame | undefined

// Streams of one channel hold the same run when they are flushed one after the other: they share its bytes.
function joined(run: readonly Frame[]): Frame {
  if (lastJoined && run.length === lastRun.length && run.every((frame, i) => frame === lastRun[i]))
    return lastJoined
  lastRun = run
  lastJoined = Frame.join(run)
  return lastJoined
}
