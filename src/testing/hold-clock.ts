import { checkValue, isTime } from '../check-options.ts'
import { clock } from '../scheduler/clock.ts'
import { ClockHold } from './clock-hold.ts'

/** The stopped clock of all streams, returned by `holdClock`. */
export interface HeldClock extends Disposable {
  /**
   * Moves time forward by `ms`, rounded up to a tick of 100 ms. Heartbeats, stall timeouts, maximum durations, rate
   * limits and flush intervals that become due run before it returns, each at its own time.
   *
   * Throws `SseError` `ERR_SSE_OPTION` for an invalid time, and `Error` if the clock has been released.
   */
  advance(ms: number): void
  /** Restarts the clock at its current time, also for other holders. */
  release(): void
}

/**
 * Stops the clock that all streams share, so that time passes only when it is advanced. Uses no fake timers and works
 * with or without yours. The ES module and CommonJS builds have separate clocks; this holds the clock of its own build.
 */
export function holdClock(): HeldClock {
  shared.hold()
  const release = () => shared.release()
  return { advance, release, [Symbol.dispose]: release }
}

const shared = new ClockHold(clock)

function advance(ms: number): void {
  checkValue('ms', ms, isTime)
  shared.advance(ms)
}
