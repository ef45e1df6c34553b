import { describe, expect, test } from 'vitest'
import { lineChart } from '../../soak/plot.js'

/** Returns a point every five seconds. */
function points(count: number, valueAt: (i: number) => number) {
  return Array.from({ length: count }, (_, i) => ({ time: i * 5, value: valueAt(i) }))
}

function chart(values: readonly { time: number; value: number }[]) {
  return lineChart({ title: 'Memory', unit: 'MiB', series: [{ name: 'resident', points: values }] })
}

/** Returns the numbers of the only line. */
function lineOf(svg: string): number[][] {
  const path = /<path d="M([^"]+)" fill="none"/.exec(svg)?.[1] ?? ''
  return path.split('L').map((point) => point.split(' ').map(Number))
}

describe('a line chart', () => {
  test('has its title, a legend, the unit and the minutes', () => {
    const svg = chart(points(121, () => 150))
    for (const part of ['<title>Memory</title>', '>resident<', '>150 MiB<', '>10<', '>minutes<'])
      expect(svg).toContain(part)
  })

  test('begins at 0, so that growth is not exaggerated', () => {
    const svg = chart(points(121, (i) => (i < 60 ? 100 : 200)))
    const heights = lineOf(svg).map(([, y]) => y as number)
    const [bottom] = /y="([\d.]+)" text-anchor="end">0 MiB/.exec(svg)?.slice(1).map(Number) ?? [0]
    // The text of a value is four units below its line.
    const floor = (bottom as number) - 4
    expect((floor - (heights.at(-1) as number)) / (floor - (heights[0] as number))).toBeCloseTo(2, 1)
  })

  test('keeps the highest value of a long series, and few points', () => {
    const peak = chart(points(7_201, (i) => (i === 4_321 ? 400 : 100)))
    const line = lineOf(peak)
    expect(line.length).toBeLessThanOrEqual(240)
    const heights = line.map(([, y]) => y as number)
    expect(heights.filter((y) => y < Math.max(...heights) - 100)).toHaveLength(1)
  })

  test('draws a series of zeros', () => {
    expect(
      lineOf(chart(points(10, () => 0)))
        .flat()
        .every(Number.isFinite),
    ).toBe(true)
  })

  test('escapes its texts', () => {
    expect(
      lineChart({ title: 'a < b & c', unit: '', series: [{ name: '<x>', points: points(2, () => 1) }] }),
    ).toMatch(/a &lt; b &amp; c[\s\S]*&lt;x&gt;/)
  })
})
