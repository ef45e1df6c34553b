import { outsideRequests } from './context.ts'
import { atTurnEnd } from './turn.ts'

/** An object with a deadline. `_onTimer` is called once per `schedule`, and MAY schedule the object again. */
export interface TimerTarget {
  /**
   * @internal The neighbours in a bucket of the clock. Undefined unless the target is scheduled. Only the clock sets
   * them.
   */
  _earlier?: TimerTarget | undefined
  _later?: TimerTarget | undefined
  /** @internal */
  _onTimer(now: number): void
}

/** Length of a tick in ms. A target is called within two ticks of its deadline. */
export const TICK = 100

/** The source of a clock's time, which is real time or the time of a test. */
export interface TimeSource {
  /** Returns monotonic time in whole ms. */
  read(): number
  /** Calls `onTick` about every `TICK` ms until the returned function is called. */
  start(onTick: () => void): () => void
}

/** Returns real time plus `offset` ms. Its timer never keeps the process alive. */
export function realTime(offset = 0): TimeSource {
  return {
    // Whole milliseconds, because V8 stores small integers without an allocation.
    read: () => Math.round(performance.now()) + offset,
    start(onTick) {
      const timer = outsideRequests(setInterval, onTick, TICK)
      timer.unref?.()
      return () => clearInterval(timer)
    },
  }
}

/**
 * A timing wheel that all streams share for heartbeats, stall timeouts and maximum durations. Its single timer runs
 * only while a target is scheduled.
 *
 * The targets of a tick are a linked list, whose links are in the targets. A collection for each tick would survive the
 * scavenges until its heartbeats are due, and become garbage of the old generation.
 */
export class Clock {
  /** Delay of the present tick in ms, for example 3 000 after the event loop was blocked for 3 s. */
  late = 0
  /** Whether the event loop has turned since the last tick. False if a test moves the clock by several ticks. */
  hasTurned = true
  readonly #buckets = new Map<number, Bucket>()
  #time = realTime()
  #stopTicks: (() => void) | undefined
  #tick = 0
  #now = 0
  // When the next tick is due.
  #ticksAt = 0

  /** Monotonic time in ms, as of the last tick while the timer runs. Cheap enough to read on every write. */
  get now(): number {
    return this.#stopTicks ? this.#now : this.#time.read()
  }

  /** Returns the exact time. In a turn that has taken a second, `now` is a second older. */
  read(): number {
    this.#now = this.#time.read()
    return this.#now
  }

  /** Schedules a call at `deadline`. It replaces the scheduled call of the target, if there is one. */
  schedule(target: TimerTarget, deadline: number): void {
    if (target._later) this.#remove(target)
    if (!this.#stopTicks) this.#start()
    const tick = Math.max(Math.ceil(deadline / TICK), this.#tick + 1)
    let bucket = this.#buckets.get(tick)
    if (!bucket) {
      bucket = new Bucket(tick)
      this.#buckets.set(tick, bucket)
    }
    bucket.add(target)
  }

  /** Cancels the call of a target, if it is scheduled. */
  cancel(target: TimerTarget): void {
    if (target._later) this.#remove(target)
    if (this.#buckets.size === 0) this.#stop()
  }

  /**
   * @internal Changes the source of the time. `create` receives the present time. The returned source MUST NOT begin
   * before that.
   */
  _use(create: (now: number) => TimeSource): void {
    const isRunning = this.#stopTicks !== undefined
    this.#stop()
    this.#time = create(Math.max(this.#now, this.#time.read()))
    if (!isRunning) return
    this.#run()
    this.#advance()
  }

  #start(): void {
    this.#run()
    this.#tick = Math.floor(this.#now / TICK)
  }

  #run(): void {
    this.#ticksAt = this.read() + TICK
    this.#stopTicks = this.#time.start(() => this.#advance())
  }

  #stop(): void {
    this.#stopTicks?.()
    this.#stopTicks = undefined
  }

  // After a blocked event loop, timers run before the sockets are read. Late targets are called after that, because a
  // client that has read would otherwise look stalled.
  #advance(): void {
    const now = this.read()
    this.late = now - this.#ticksAt
    this.#ticksAt = now + TICK
    if (this.late < TICK) this.#fireDue()
    else atTurnEnd(() => this.#fireDue())
  }

  // A blocked event loop misses ticks, so that the targets of all ticks since the last one are called.
  #fireDue(): void {
    const until = Math.floor(this.#now / TICK)
    while (this.#tick < until) this.#fire(++this.#tick)
    if (this.#buckets.size === 0) this.#stop()
    if (!this.hasTurned) return
    this.hasTurned = false
    atTurnEnd(() => {
      this.hasTurned = true
    })
  }

  #fire(tick: number): void {
    const bucket = this.#buckets.get(tick)
    if (!bucket) return
    // Each target is removed before its call, because a target may cancel the others.
    for (let target = bucket.shift(); target; target = bucket.shift()) target._onTimer(this.#now)
    this.#buckets.delete(tick)
  }

  #remove(target: TimerTarget): void {
    const bucket = unlink(target)
    if (bucket) this.#buckets.delete(bucket.tick)
  }
}

/**
 * The targets of a tick, in the order in which they were scheduled, as a circle that begins and ends with the bucket.
 */
class Bucket implements TimerTarget {
  readonly tick: number
  _earlier: TimerTarget = this
  _later: TimerTarget = this

  constructor(tick: number) {
    this.tick = tick
  }

  add(target: TimerTarget): void {
    target._earlier = this._earlier
    target._later = this
    this._earlier._later = target
    this._earlier = target
  }

  /** Removes and returns the first target. */
  shift(): TimerTarget | undefined {
    if (this._later === this) return undefined
    const target = this._later
    unlink(target)
    return target
  }

  /** @internal A bucket is not scheduled itself. */
  _onTimer(): void {}
}

/** Removes a target from its bucket. Returns the bucket if it has become empty. */
function unlink(target: TimerTarget): Bucket | undefined {
  const earlier = target._earlier as TimerTarget
  const later = target._later as TimerTarget
  earlier._later = later
  later._earlier = earlier
  target._earlier = undefined
  target._later = undefined
  return earlier === later ? (earlier as Bucket) : undefined
}

export const clock = new Clock()
