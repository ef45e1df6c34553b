// Writes line charts as SVG. They have only the axes that a series over time needs.

const WIDTH = 760
const HEIGHT = 300
const MARGIN = { left: 64, right: 16, top: 40, bottom: 40 }
const PLOT = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom }
// The largest number of points of a path, so that the file of an hour is small.
const MAX_POINTS = 240
const COLORS = ['#1f5fa8', '#c2571a', '#2f7d32', '#7a3e9d']
const TICKS = 5
const NICE_STEPS = [1, 2, 2.5, 5, 10]

/**
 * @typedef {import('./slope.js').Point} Point
 * @typedef {{ readonly name: string, readonly points: readonly Point[] }} Series
 * @typedef {(value: number) => number} Scale
 */

/**
 * Returns an SVG document with one line for each series. `points` have a time in seconds, and the axis shows minutes.
 * Longer series are reduced to the highest value of each of 240 parts, so that no peak is hidden.
 *
 * @param {{ title: string, unit: string, series: readonly Series[] }} chart
 */
export function lineChart({ title, unit, series }) {
  const reduced = series.map(({ name, points }) => ({ name, points: peaksOf(points) }))
  const all = reduced.flatMap(({ points }) => points)
  const step = niceStep(Math.max(...all.map(({ value }) => value)) / TICKS)
  const top = step * Math.max(1, Math.ceil(Math.max(...all.map(({ value }) => value)) / step))
  const end = Math.max(...all.map(({ time }) => time))
  /** @type {Scale} */
  const x = (time) => MARGIN.left + (time / end) * PLOT.width
  /** @type {Scale} */
  const y = (value) => MARGIN.top + (1 - value / top) * PLOT.height
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${MARGIN.left}" y="16" font-weight="bold">${escaped(title)}</text>`,
    ...valueAxis(step, top, unit, y),
    ...timeAxis(end / 60, x),
    ...reduced.flatMap(({ name, points }, i) => [line(points, x, y, COLORS[i]), legend(name, i)]),
    '</svg>\n',
  ].join('\n')
}

/**
 * @param {number} step
 * @param {number} top
 * @param {string} unit
 * @param {Scale} y
 */
function valueAxis(step, top, unit, y) {
  const values = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step)
  return values.flatMap((value) => [
    `<path d="M${MARGIN.left} ${rounded(y(value))}h${PLOT.width}" stroke="#ddd"/>`,
    text(MARGIN.left - 6, y(value) + 4, `${rounded(value)} ${unit}`.trim(), 'end'),
  ])
}

/**
 * @param {number} minutes
 * @param {Scale} x
 */
function timeAxis(minutes, x) {
  const step = niceStep(minutes / (2 * TICKS))
  const times = Array.from({ length: Math.floor(minutes / step + 1e-9) + 1 }, (_, i) => i * step)
  return [
    ...times.map((time) => text(x(time * 60), HEIGHT - MARGIN.bottom + 16, rounded(time), 'middle')),
    text(MARGIN.left + PLOT.width / 2, HEIGHT - 6, 'minutes', 'middle'),
  ]
}

/**
 * @param {readonly Point[]} points
 * @param {Scale} x
 * @param {Scale} y
 * @param {string | undefined} color
 */
function line(points, x, y, color) {
  const path = points.map(({ time, value }) => `${rounded(x(time))} ${rounded(y(value))}`).join('L')
  return `<path d="M${path}" fill="none" stroke="${color}" stroke-width="1.5"/>`
}

/**
 * @param {string} name
 * @param {number} i
 */
function legend(name, i) {
  const left = MARGIN.left + i * 150
  const mark = `<path d="M${left} 28h16" stroke="${COLORS[i]}" stroke-width="3"/>`
  return `${mark}${text(left + 22, 32, name, 'start')}`
}

/**
 * @param {number} left
 * @param {number} top
 * @param {string | number} content
 * @param {'start' | 'middle' | 'end'} anchor
 */
function text(left, top, content, anchor) {
  return `<text x="${rounded(left)}" y="${rounded(top)}" text-anchor="${anchor}">${escaped(String(content))}</text>`
}

/**
 * @param {readonly Point[]} points
 * @returns {readonly Point[]}
 */
function peaksOf(points) {
  if (points.length <= MAX_POINTS) return points
  return Array.from({ length: MAX_POINTS }, (_, i) => {
    const from = Math.floor((i * points.length) / MAX_POINTS)
    const part = points.slice(from, Math.floor(((i + 1) * points.length) / MAX_POINTS))
    return part.reduce((highest, point) => (point.value > highest.value ? point : highest))
  })
}

/** @param {number} least */
function niceStep(least) {
  if (!(least > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(least))
  return power * (NICE_STEPS.find((step) => step * power >= least * (1 - 1e-9)) ?? 10)
}

/** @param {number} value */
function rounded(value) {
  return Number(value.toFixed(1))
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
