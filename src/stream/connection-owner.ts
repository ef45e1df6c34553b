import type { CloseReason } from './close-reason.ts'

/** What a connection tells its stream. */
export interface ConnectionOwner {
  /** @internal All that waited has left, after the client had been behind for `lag` ms. */
  _caughtUp(lag: number): void
  /** @internal A backlog at its bound dropped so many events, or may drop none: `OVERFLOW`. */
  _overflowed(dropped: number): void
  /** @internal The connection has reached its maximum age. */
  _expired(): void
  /** @internal Nothing can be written any more. Said once. */
  _over(reason: CloseReason, error?: unknown): void
}
