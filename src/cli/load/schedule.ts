/**
 * Times at a constant rate, which a late task does not shift. Otherwise a server that stalls would be measured less
 * often while it stalls, which is called coordinated omission.
 */
export class Schedule {
  readonly #start: number
  readonly #interval: number
  #count = 0

  /** `start` is the first time in ms. `rate` is per second. */
  constructor(start: number, rate: number) {
    this.#start = start
    this.#interval = 1000 / rate
  }

  /** The next time, in ms. */
  get next(): number {
    return this.#start + this.#count * this.#interval
  }

  /** Returns the next time if it is reached, otherwise undefined. */
  due(now: number): number | undefined {
    const { next } = this
    if (next > now) return undefined
    this.#count += 1
    return next
  }
}

/** Random times at a mean rate, as clients disconnect independently of each other. */
export class RandomSchedule {
  readonly #rate: number
  readonly #random: () => number
  #next: number

  /** `rate` is per second. `random` returns numbers from 0 up to 1, as `Math.random` does. */
  constructor(start: number, rate: number, random: () => number = Math.random) {
    this.#rate = rate
    this.#random = random
    this.#next = start
    this.#advance()
  }

  get next(): number {
    return this.#next
  }

  due(now: number): number | undefined {
    const next = this.#next
    if (next > now) return undefined
    this.#advance()
    return next
  }

  #advance(): void {
    this.#next += (-Math.log(1 - this.#random()) * 1000) / this.#rate
  }
}

/** The times at which `Timetable` runs a task. */
export interface Times {
  readonly next: number
  due(now: number): number | undefined
}

/** Runs a task at each time of a schedule, with the intended time, until `stop` is called or the task returns false. */
export class Timetable {
  readonly #times: Times
  readonly #task: (intended: number) => boolean
  readonly #now: () => number
  #timer: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(times: Times, now: () => number, task: (intended: number) => boolean) {
    this.#times = times
    this.#now = now
    this.#task = task
  }

  start(): void {
    this.#wait()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #run(): void {
    // Read once, because tasks that become due meanwhile would otherwise keep the event loop from reading sockets.
    const now = this.#now()
    for (;;) {
      const intended = this.#times.due(now)
      if (intended === undefined) break
      if (!this.#task(intended)) this.stop()
      if (this.#isStopped) return
    }
    this.#wait()
  }

  #wait(): void {
    // At a very low rate, the next time exceeds the longest timer.
    const delay = Math.min(this.#times.next - this.#now(), 2 ** 30)
    this.#timer = setTimeout(() => this.#run(), Math.max(delay, 0))
  }
}
