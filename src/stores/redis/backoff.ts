/** Returns the delay before an attempt to reconnect, in ms. */
export function backoff(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 6), 2_000)
}
