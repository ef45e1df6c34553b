import { Frame } from '../event/frame.ts'
import { RingBuffer } from '../ring-buffer.ts'

/** Frames that wait, oldest first, held as references to shared frames. */
export interface FrameQueue {
  readonly length: number
  /** Bytes of all payloads in it. */
  readonly bytes: number
  push(frame: Frame): void
  /** What would not be kept beside it. */
  replacedBy(frame: Frame): Frame | undefined
  /** Takes the oldest. */
  shift(): Frame | undefined
  /** The oldest, left where it is. */
  peek(): Frame | undefined
}

/** Every frame. */
export class RingQueue extends RingBuffer<Frame> implements FrameQueue {
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

  replacedBy(): undefined {}

  peek(): Frame | undefined {
    return this.at(0)
  }
}

/** What a frame is the newest value of; itself, when it is to be kept whatever comes. */
export type KeyOf = (frame: Frame) => string | Frame

/** Keeps the newest frame of each key; a newer one waits at the end. */
export class ConflatedQueue implements FrameQueue {
  bytes = 0
  readonly keyOf: KeyOf
  // A Map hands out its entries in the order in which their keys were set.
  readonly #newest = new Map<string | Frame, Frame>()

  constructor(keyOf: KeyOf) {
    this.keyOf = keyOf
  }

  /** The frames of a backlog, conflated. */
  static from(backlog: FrameQueue, keyOf: KeyOf): ConflatedQueue {
    const queue = new ConflatedQueue(keyOf)
    for (let frame = backlog.shift(); frame; frame = backlog.shift()) queue.push(frame)
    return queue
  }

  get length(): number {
    return this.#newest.size
  }

  push(frame: Frame): void {
    const key = this.keyOf(frame)
    this.#remove(key)
    this.#newest.set(key, frame)
    this.bytes += frame.size
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
    return this.#newest.values().next().value
  }

  #remove(key: string | Frame): void {
    this.bytes -= this.#newest.get(key)?.size ?? 0
    this.#newest.delete(key)
  }
}

/** Takes the oldest frames, at least one and then as many as the limits hold, as one frame to write. */
export function takeBatch(
  queue: FrameQueue,
  maxBytes: number,
  maxFrames = Number.POSITIVE_INFINITY,
): Frame | undefined {
  const first = queue.shift()
  if (first === undefined || queue.length === 0) return first
  const run: [Frame, ...Frame[]] = [first]
  let room = maxBytes - first.size
  for (let next = queue.peek(); next && next.size <= room && run.length < maxFrames; next = queue.peek()) {
    room -= next.size
    run.push(next)
    queue.shift()
  }
  return joined(run)
}

let lastRun: readonly Frame[] = []
let lastJoined: Frame | undefined

/** A run as one frame to write. Streams that hold the same run one after the other share its bytes. */
export function joined(run: readonly [Frame, ...Frame[]]): Frame {
  if (run.length === 1) return run[0]
  if (lastJoined && isSame(run, lastRun)) return lastJoined
  lastRun = run
  lastJoined = Frame.join(run)
  return lastJoined
}

function isSame(run: readonly Frame[], other: readonly Frame[]): boolean {
  return run === other || (run.length === other.length && run.every((frame, i) => frame === other[i]))
}
