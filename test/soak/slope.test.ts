import { describe, expect, test } from 'vitest'
import { floorOf, growthOf, growthShareOf, isFlat, MAX_GROWTH } from '../../soak/slope.js'

const MINUTES = 10
const INTERVAL = 5
const SAMPLES = (MINUTES * 60) / INTERVAL

/** Returns a sample every five seconds for ten minutes. `valueAt` gets the time as a share of the run. */
function series(valueAt: (share: number, i: number) => number) {
  return Array.from({ length: SAMPLES + 1 }, (_, i) => ({
    time: i * INTERVAL,
    value: valueAt(i / SAMPLES, i),
  }))
}

// A pseudo-random number from -1 to 1 that is the same in each run.
function noise(i: number): number {
  const { sin, floor } = Math
  const value = sin(i * 12.9898) * 43_758.5453
  return 2 * (value - floor(value)) - 1
}

describe('the slope test', () => {
  test('accepts a constant series, and one that is always 0', () => {
    expect(growthOf(series(() => 150))).toBe(0)
    expect(growthOf(series(() => 0))).toBe(0)
  })

  test('accepts a rise in the first half', () => {
    expect(isFlat(series((share) => 100 + 80 * Math.min(1, 2 * share)))).toBe(true)
  })

  test('accepts noise of a twentieth without a trend', () => {
    expect(isFlat(series((_, i) => 150 * (1 + 0.05 * noise(i))))).toBe(true)
  })

  test('accepts the saw teeth of a collected heap', () => {
    expect(isFlat(series((_, i) => 70 + (i % 12)))).toBe(true)
  })

  test('accepts single peaks', () => {
    expect(isFlat(series((_, i) => (i % 15 === 14 ? 300 : 150)))).toBe(true)
  })

  test('accepts a fall, whose growth is negative', () => {
    expect(growthShareOf(series((share) => 200 - 50 * share))).toBeLessThan(-0.1)
  })

  test('accepts a rise that is just below the limit', () => {
    expect(isFlat(series((share) => 100 * (1 + 1.9 * MAX_GROWTH * share)))).toBe(true)
  })

  test('rejects a rise that is just above the limit', () => {
    expect(isFlat(series((share) => 100 * (1 + 2.3 * MAX_GROWTH * share)))).toBe(false)
  })

  test('rejects the growth of a resident set from 156 to 262 MB within the run', () => {
    const points = series((share) => 156 + 106 * share)
    expect(growthOf(points)).toBeCloseTo(53, 0)
    expect(growthShareOf(points)).toBeCloseTo(53 / 235.5, 2)
    expect(isFlat(points)).toBe(false)
  })

  test('rejects a slow leak below noise', () => {
    expect(isFlat(series((share, i) => 150 * (1 + 0.16 * share) * (1 + 0.05 * noise(i))))).toBe(false)
  })

  test('rejects a leak below the saw teeth of a collected heap', () => {
    expect(isFlat(series((share, i) => 70 + 12 * share + (i % 12)))).toBe(false)
  })

  test('rejects a rise that begins late', () => {
    expect(isFlat(series((share) => (share < 0.85 ? 150 : 150 + 200 * (share - 0.85))))).toBe(false)
  })

  test('rejects a step', () => {
    expect(isFlat(series((share) => (share < 0.86 ? 150 : 165)))).toBe(false)
  })

  test('rejects a figure that appears', () => {
    expect(isFlat(series((share) => (share < 0.8 ? 0 : 4)))).toBe(false)
  })

  test('accepts a growth within the tolerance, and rejects a larger one', () => {
    expect(isFlat(series((share) => 4 + 1.5 * share))).toBe(false)
    expect(
      isFlat(
        series((share) => 4 + 1.5 * share),
        1,
      ),
    ).toBe(true)
    expect(
      isFlat(
        series((share) => 4 + 2.5 * share),
        1,
      ),
    ).toBe(false)
  })

  test('ignores garbage of any size in the floor of a series, and finds a leak below it', () => {
    const garbage = (i: number) => (i % 7) * (i > 80 ? 12 : 4)
    expect(isFlat(series((_, i) => 70 + garbage(i)))).toBe(false)
    expect(isFlat(floorOf(series((_, i) => 70 + garbage(i))))).toBe(true)
    expect(isFlat(floorOf(series((share, i) => 70 + 10 * share + garbage(i))))).toBe(false)
  })

  test('finds the half by time, although a busy process takes fewer samples', () => {
    const rise = series((share) => 100 + 100 * Math.min(1, 2 * share))
    const sparse = rise.filter(({ time }, i) => time < 300 || i % 3 === 0)
    expect(growthOf(sparse)).toBe(0)
  })

  test('throws for a half of fewer than ten points', () => {
    expect(() => growthOf(series(() => 1).slice(0, 18))).toThrow('A trend needs 10 points, not 9.')
    expect(() => growthOf([])).toThrow('A trend needs 10 points, not 0.')
  })
})
