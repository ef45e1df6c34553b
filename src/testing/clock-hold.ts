import { type Clock, realTime, TICK, type TimeSource } from '../scheduler/clock.ts'

/** Holds a clock, so that its time passes only when it is advanced. */
export class ClockHold {
  readonly #clock: Clock
  #time: HeldTime | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Stops the clock at the end of a tick, after the targets that are due. */
  hold(): void {
    if (this.#time) return
    this.#clock._use((now) => {
      this.#time = new HeldTime(now)
      return this.#time
    })
  }

  /** Moves the clock forward by whole ticks and calls the targets of each tick. */
  advance(ms: number): void {
    if (!this.#time) throw new Error('The clock was released. Call holdClock() again before advancing it.')
    this.#time.advance(ms)
  }

  /** Restarts the clock at its current time. */
  release(): void {
    if (!this.#time) return
    this.#time = undefined
    this.#clock._use((now) => realTime(now - realTime().read()))
  }
}

class HeldTime implements TimeSource {
  #now: number
  #onTick: (() => void) | undefined

  constructor(now: number) {
    this.#now = endOfTick(now)
  }

  read(): number {
    return this.#now
  }

  start(onTick: () => void): () => void {
    this.#onTick = onTick
    return () => {
      this.#onTick = undefined
    }
  }

  advance(ms: number): void {
    const until = endOfTick(this.#now + ms)
    while (this.#now < until) {
      this.#now += TICK
      this.#onTick?.()
    }
  }
}

function endOfTick(time: number): number {
  return Math.ceil(time / TICK) * TICK
}
