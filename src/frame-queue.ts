import { Frame } from './frame.ts'
import { Ring } from './ring.ts'

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

/** Every frame. */
export class RingQueue extends Ring<Frame> implements FrameQueue {
  bytes = 0

  override push(frame: Frame): void {
    super.push(frame)
    this.bytes += frame.size
  }

  override shift(): Frame | undefined {
    const frame = super.shift()
    if (frame) this.bytes -= frame.size
    return frame
  }

  peek(): Frame | undefined {
    return this.at(0)
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
