/** Readings of two clocks differ if the process is suspended between them, so the closest of several pairs is used. */
const READINGS = 20

/** The time of the machine minus that of `performance.now()`, in ms. */
const SHARED = offsetOf(() => Number(process.hrtime.bigint()) / 1e6)

/** Returns a time in ms that all processes of the machine share. It is monotonic, and its origin is arbitrary. */
export function sharedNow(): number {
  return performance.now() + SHARED
}

/** Converts a time of `sharedNow` to that of `performance.now()` in this process. */
export function fromShared(time: number): number {
  return time - SHARED
}

/**
 * The clock that the times in events are compared with. It has the resolution of `performance.now()`, because
 * `Date.now()` is cut to whole ms.
 */
export class EventClock {
  readonly #isShared: boolean
  #offset: number

  /** `isShared` is true for probes, whose times are those of `sharedNow`. Otherwise times are in ms since 1970. */
  constructor(isShared: boolean) {
    this.#isShared = isShared
    this.#offset = isShared ? SHARED : wallOffset()
  }

  /** Converts a time of `performance.now()`. */
  at(time: number): number {
    return this.#offset + time
  }

  /** Applies adjustments of the machine's clock, which other processes apply too. Call it every second. */
  adjust(): void {
    if (this.#isShared) return
    const offset = wallOffset()
    // Smaller differences result from the resolution of `Date.now()`.
    if (Math.abs(offset - this.#offset) > 1) this.#offset = offset
  }
}

/** Returns the offset of the wall clock, including adjustments, which `performance.timeOrigin` does not have. */
function wallOffset(): number {
  // The middle of the ms to which `Date.now()` was truncated.
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
