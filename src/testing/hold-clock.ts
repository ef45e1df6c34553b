import { between, checkOptions, MAX_TIME } from '../check-options.ts'
import { clock } from '../scheduler/clock.ts'

/** The clock of all streams, in the hand of a test. */
export interface HeldClock extends Disposable {
  /**
   * Moves time on by `ms`, rounded up to a tick of 100 ms. The heartbeats, stall deadlines, lifetimes, rates and flush
   * intervals that fall due on the way have been acted upon when it returns, each at its time. Throws when the clock was
   * released, and `SseError` `ERR_SSE_OPTION`.
   */
  advance(ms: number): void
  /** Lets time go by itself again, from where it was advanced to, for all that hold it. */
  release(): void
}

/**
 * Holds the clock that all streams share: time stands still until it is advanced. No timer is faked, and it does not
 * matter whether yours are, or were. It is the clock of this build: a program that loads the ES module and the CommonJS
 * build has two.
 */
export function holdClock(): HeldClock {
  clock._hold()
  const release = () => clock._release()
  return { advance, release, [Symbol.dispose]: release }
}

function advance(ms: number): void {
  checkOptions({ ms }, { ms: between(0, MAX_TIME) })
  clock._advance(ms)
}
