/** The most that a figure may grow within the second half of a run, as a share of its median there. */
export const MAX_GROWTH = 0.05
// Fewer points show no trend.
const MIN_POINTS = 10
// The part of the half whose medians are compared.
const END_SHARE = 1 / 4
// The part of the run whose lowest value counts, for a figure with garbage.
const FLOOR_SHARE = 1 / 16

/**
 * A value at a time, which may have any unit.
 *
 * @typedef {{ readonly time: number, readonly value: number }} Point
 */

/**
 * Returns how much a series grows within its second half, in its own unit: the larger one of two measures. The first is
 * the slope of Theil and Sen, the median of the slopes between all pairs of points, times the length of the half. It
 * ignores single peaks, such as garbage before a collection. The second is the median of the last quarter of the half
 * less that of its first quarter. It also finds a step, and a rise that begins late.
 *
 * The growth of a series that falls is negative. Throws an `Error` if the half has fewer than ten points.
 *
 * @param {readonly Point[]} points In the order of their times.
 * @returns {number}
 */
export function growthOf(points) {
  const half = secondHalf(points)
  if (half.length < MIN_POINTS) throw new Error(`A trend needs ${MIN_POINTS} points, not ${half.length}.`)
  return Math.max(theilSen(half) * lengthOf(half), riseOf(half.map(({ value }) => value)))
}

/**
 * Returns the growth as a share of the median of the second half.
 *
 * @param {readonly Point[]} points
 * @returns {number}
 */
export function growthShareOf(points) {
  const growth = growthOf(points)
  return growth === 0 ? 0 : growth / median(secondHalf(points).map(({ value }) => value))
}

/**
 * Whether a series grows within its second half by at most `MAX_GROWTH`, or by at most `tolerance` in its own unit.
 *
 * @param {readonly Point[]} points
 * @param {number} tolerance
 */
export function isFlat(points, tolerance = 0) {
  return growthShareOf(points) <= MAX_GROWTH || growthOf(points) <= tolerance
}

/**
 * Returns for each point the lowest value of the sixteenth of the run that ends with it. For memory with garbage, this
 * is about the memory that remains after a collection.
 *
 * @param {readonly Point[]} points
 * @returns {readonly Point[]}
 */
export function floorOf(points) {
  const window = lengthOf(points) * FLOOR_SHARE
  return points.map(({ time }, i) => {
    const values = points.slice(0, i + 1).filter((other) => other.time >= time - window)
    return { time, value: Math.min(...values.map(({ value }) => value)) }
  })
}

/** @param {readonly Point[]} points */
function theilSen(points) {
  const slopes = points.flatMap((a, i) =>
    points.slice(i + 1).map((b) => (b.value - a.value) / (b.time - a.time)),
  )
  return median(slopes)
}

/** @param {readonly number[]} values */
function riseOf(values) {
  const count = Math.ceil(values.length * END_SHARE)
  return median(values.slice(-count)) - median(values.slice(0, count))
}

/**
 * Returns the half by time and not by number, because a busy process takes fewer samples.
 *
 * @param {readonly Point[]} points
 */
function secondHalf(points) {
  const last = points.at(-1)?.time ?? 0
  const middle = last - lengthOf(points) / 2
  return points.filter(({ time }) => time >= middle)
}

/** @param {readonly Point[]} points */
function lengthOf(points) {
  return (points.at(-1)?.time ?? 0) - (points[0]?.time ?? 0)
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = Float64Array.from(values).sort()
  const upper = sorted[sorted.length >> 1] ?? Number.NaN
  if (sorted.length % 2 === 1) return upper
  return ((sorted[(sorted.length >> 1) - 1] ?? Number.NaN) + upper) / 2
}
