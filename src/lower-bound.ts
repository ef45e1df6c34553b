/**
 * Returns the smallest index below `length` for which a condition is true, or `length` if there is none. The condition
 * MUST be true for all later indices.
 */
export function lowerBound(length: number, isTrue: (at: number) => boolean): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isTrue(middle)) high = middle
    else low = middle + 1
  }
  return low
}
