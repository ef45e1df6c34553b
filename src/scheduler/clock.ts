/** An object with a deadline. It is called once per `schedule` and may schedule itself again. */
export interface TimerTarget {
  /** @internal */
  _onTimer(now: number): void
}

/** Length of a tick in ms. A target is called within two ticks of its deadline. */
export const TICK = 100

/**
 * A timing wheel that all streams share for heartbeats, stall timeouts and maximum durations. Its single timer runs only
 * while a target is scheduled, and never keeps the process alive.
 */
export class Clock {
  readonly #buckets = new Map<number, Set<TimerTarget>>()
  #timer: NodeJS.Timeout | undefined
  #tick = 0
  #now = 0
  #isHeld = false
  // Sum of all `_advance` calls, in ms.
  #offset = 0

  /** Monotonic time in ms, as of the last tick while the timer runs. Cheap enough to read on every write. */
  get now(): number {
    return this.#timer ? this.#now : this.#read()
  }

  /** Schedules a call at `deadline`. Returns the tick, which `cancel` needs. */
  schedule(target: TimerTarget, deadline: number): number {
    if (!this.#timer) this.#start()
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

  /** @internal Stops the clock at the end of a tick until it is advanced. For tests. */
  _hold(): void {
    this.#read()
    this.#stop()
    this.#isHeld = true
    this._advance(0)
  }

  /** @internal Moves a held clock forward by whole ticks and calls the targets of each tick. */
  _advance(ms: number): void {
    if (!this.#isHeld) throw new Error('The clock was released. Call holdClock() again before advancing it.')
    const until = Math.ceil((this.#now + ms) / TICK)
    while (this.#tick < until) {
      this.#now = ++this.#tick * TICK
      this.#fire(this.#tick)
    }
    // Fake timers may have moved the time ahead of the ticks. Time MUST NOT go back.
    this.#now = this.#tick * TICK
  }

  /** @internal Restarts a held clock at its current time. */
  _release(): void {
    if (!this.#isHeld) return
    this.#isHeld = false
    const heldAt = this.#now
    this.#offset += heldAt - this.#read()
    this.#now = heldAt
    if (this.#buckets.size > 0) this.#run()
  }

  #start(): void {
    this.#tick = Math.floor(this.#read() / TICK)
    if (!this.#isHeld) this.#run()
  }

  #run(): void {
    this.#timer = setInterval(() => this.#advance(), TICK)
    this.#timer.unref?.()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  // A blocked event loop misses ticks, so call the targets of all ticks since the last one.
  #advance(): void {
    const until = Math.floor(this.#read() / TICK)
    while (this.#tick < until) this.#fire(++this.#tick)
    if (this.#buckets.size === 0) this.#stop()
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

  // Whole milliseconds, because V8 stores small integers without an allocation.
  #read(): number {
    if (!this.#isHeld) this.#now = Math.round(performance.now()) + this.#offset
    return this.#now
  }
}

export const clock = new Clock()
