import { SseError } from '../../errors.ts'
import { clock } from '../../scheduler/clock.ts'

// How long an attempt of another process to connect may take, in ms.
const CONNECT_TIME = 1_000

/**
 * The time after a reconnect in which other processes may not be connected again. A process that does not respond
 * meanwhile may be alive.
 */
export class ReconnectWindow {
  #endsAt = 0

  /** Called after a reconnect. `delay` is the maximum time between two attempts of a process to connect, in ms. */
  open(delay: number): void {
    this.#endsAt = clock.read() + delay + CONNECT_TIME
  }

  /** Returns whether another process was found. Throws `SseError` `ERR_SSE_STORE` if it was not found in this time. */
  confirm(isFound: boolean): boolean {
    if (isFound || clock.read() >= this.#endsAt) return isFound
    throw new SseError('ERR_SSE_STORE', 'Other processes may not have reconnected to the broker yet.')
  }
}
