/** The maximum delay between two attempts to reconnect, in ms. */
export const MAX_BACKOFF = 2_000

/** Returns the delay before an attempt to reconnect, in ms. */
export function backoff(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), MAX_BACKOFF)
}
