/** Readings of two clocks differ if the process is suspended between them. The pair with the least time between is used. */
const READINGS = 20

/** The time of the machine minus that of `performance.now()`, in ms. */
const SHARED = offsetOf(() => Number(process.hrtime.bigint()) / 1e6)

/** Returns a time in ms that all processes of the machine share. It is never adjusted, and begins at any point. */
export function sharedNow(): number {
  return performance.now() + SHARED
}

/** Converts a time of `sharedNow` to that of `performance.now()` in this process. */
export function fromShared(time: number): number {
  return time - SHARED
}

/**
 * The clock that the times in events are compared with. It has the resolution of `performance.now()`, because `Date.now()`
 * is cut to whole ms.
 */
export class EventClock {
  readonly #isShared: boolean
  #offset: number

  /** `isShared` is true for probes, which have a time of `sharedNow`. Others have a time in ms since 1970. */
  constructor(isShared: boolean) {
    this.#isShared = isShared
    this.#offset = isShared ? SHARED : wallOffset()
  }

  /** Converts a time of `performance.now()`. */
  at(time: number): number {
    return this.#offset + time
  }

  /** Follows adjustments of the clock of the machine, which those of other processes follow too. Call it every second. */
  adjust(): void {
    if (this.#isShared) return
    const offset = wallOffset()
    // Smaller differences are due to the resolution of `Date.now()`.
    if (Math.abs(offset - this.#offset) > 1) this.#offset = offset
  }
}

/** Unlike `performance.timeOrigin`, it has the adjustments of the clock since the start of the process. */
function wallOffset(): number {
  // The middle of the ms that the time was cut to.
  return offsetOf(Date.now) + 0.5
}

function offsetOf(read: () => number): number {
  let offset = 0
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < READINGS; i++) {
    const before = performance.now()
    const time = read()
    const after = performance.now()
    if (after - before >= least) continue
    least = after - before
    offset = time - (before + after) / 2
  }
  return offset
}
