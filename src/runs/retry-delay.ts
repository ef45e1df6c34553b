// In ms.
const FIRST = 500
const LONGEST = 5_000

/** Returns the delay before a retry in ms, which doubles with the number of earlier retries up to a few seconds. */
export function retryDelay(retries: number): number {
  return Math.min(FIRST * 2 ** retries, LONGEST)
}
