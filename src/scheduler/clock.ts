/** Something with a deadline. It is woken once and goes back to sleep itself. */
export interface TimerTarget {
  /** @internal */
  _onTimer(now: number): void
}

/** The length of a tick in ms. Deadlines are met within two. */
export const TICK = 100

/**
 * The one coarse timer of all streams: heartbeats, stall deadlines and lifetimes. It runs while somebody sleeps, and
 * never keeps the process alive.
 */
export class Clock {
  readonly #buckets = new Map<number, Set<TimerTarget>>()
  #timer: NodeJS.Timeout | undefined
  #tick = 0
  #now = 0
  #isHeld = false
  // How far it was advanced.
  #offset = 0

  /** Milliseconds on a monotonic clock, as of the last tick: cheap enough to read on every write. */
  get now(): number {
    return this.#timer ? this.#now : this.#read()
  }

  /** Sleeps until `deadline`. Returns the tick to give to `forget`. */
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

  /** @internal Time stands still, at the end of a tick, until it is advanced. For tests. */
  _hold(): void {
    this.#read()
    this.#stop()
    this.#isHeld = true
    this._advance(0)
  }

  /** @internal Moves time that is held on by whole ticks, and wakes all that fall due, each in its tick. */
  _advance(ms: number): void {
    if (!this.#isHeld) throw new Error('The clock was released: hold it again to advance it.')
    const until = Math.ceil((this.#now + ms) / TICK)
    while (this.#tick < until) {
      this.#now = ++this.#tick * TICK
      this.#fire(this.#tick)
    }
    // Fake timers may have left it ahead. It never goes back.
    this.#now = this.#tick * TICK
  }

  /** @internal Time goes by itself again, from where it was advanced to. */
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

  // A blocked event loop misses ticks: all that fell due since the last one are woken.
  #advance(): void {
    const until = Math.floor(this.#read() / TICK)
    while (this.#tick < until) this.#fire(++this.#tick)
    if (this.#buckets.size === 0) this.#stop()
  }

  #fire(tick: number): void {
    const bucket = this.#buckets.get(tick)
    for (const target of bucket ?? []) {
      // One that is woken may have others forgotten.
      bucket?.delete(target)
      target._onTimer(this.#now)
    }
    this.#buckets.delete(tick)
  }

  // Whole numbers: V8 keeps them inside the objects that remember them.
  #read(): number {
    if (!this.#isHeld) this.#now = Math.round(performance.now()) + this.#offset
    return this.#now
  }
}

export const clock = new Clock()
