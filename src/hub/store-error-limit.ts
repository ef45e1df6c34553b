import type { SseError } from '../errors.ts'
import { clock } from '../scheduler/clock.ts'

// In ms.
const INTERVAL = 10_000

/** Limits the reports of store errors to one per interval, because an outage fails the replays of all clients. */
export class StoreErrorLimit {
  #nextAt = Number.NEGATIVE_INFINITY

  /** Returns whether an error is reported. */
  passes(error: unknown): boolean {
    if ((error as Partial<SseError>).code !== 'ERR_SSE_STORE') return true
    const now = clock.read()
    const passes = now >= this.#nextAt
    if (passes) this.#nextAt = now + INTERVAL
    return passes
  }
}
