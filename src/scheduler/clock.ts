import { outsideRequests } from './context.ts'
import { atTurnEnd } from './turn.ts'

/** An object with a deadline. It is called once per `schedule` and may schedule itself again. */
export interface TimerTarget {
  /** @internal */
  _onTimer(now: number): void
}

/** Length of a tick in ms. A target is called within two ticks of its deadline. */
export const TICK = 100

/** What moves a clock: real time, or the time of a test. */
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
 * A timing wheel that all streams share for heartbeats, stall timeouts and maximum durations. Its single timer runs only
 * while a target is scheduled.
 */
export class Clock {
  /** How much later than due the present tick is, in ms. It is late when the event loop was blocked. */
  late = 0
  /** Whether the event loop has turned since the last tick. Not if a test moves the clock by several ticks. */
  hasTurned = true
  readonly #buckets = new Map<number, Set<TimerTarget>>()
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

  /** Returns the exact time. `now` is older in a long turn: by a second, if the turn has taken a second. */
  read(): number {
    this.#now = this.#time.read()
    return this.#now
  }

  /** Schedules a call at `deadline`. Returns the tick, which `cancel` needs. */
  schedule(target: TimerTarget, deadline: number): number {
    if (!this.#stopTicks) this.#start()
    const tick = Math.max(Math.ceil(deadline / TICK), this.#tick + 1)
    const bucket = this.#buckets.get(tick)
    if (bucket) bucket.add(target)
    else this.#buckets.set(tick, new Set([target]))
    return tick
  }

  cancel(target: TimerTarget, tick: number): void {
    const bucket = this.#buckets.get(tick)
    if (bucket?.delete(target) && bucket.size === 0) this.#buckets.delete(tick)
    if (this.#buckets.size === 0) this.#stop()
  }

  /** @internal Changes the source of the time. `create` gets the present time, before which it MUST NOT begin. */
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

  // After a blocked event loop, timers run before the sockets are read. A client that seems to have stalled may have read.
  #advance(): void {
    const now = this.read()
    this.late = now - this.#ticksAt
    this.#ticksAt = now + TICK
    if (this.late < TICK) this.#fireDue()
    else atTurnEnd(() => this.#fireDue())
  }

  // A blocked event loop misses ticks, so call the targets of all ticks since the last one.
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
    for (const target of bucket ?? []) {
      // Delete each target before its call, because a target may cancel the others.
      bucket?.delete(target)
      target._onTimer(this.#now)
    }
    this.#buckets.delete(tick)
  }
}

export const clock = new Clock()
