import { mkdirSync, writeFileSync } from 'node:fs'
import { lineChart } from './plot.js'
import { floorOf, growthOf, growthShareOf, isFlat } from './slope.js'

const MIB = 1024 * 1024
// None of these may grow. The delay of the event loop depends on other work of the machine, so it is only drawn.
const SIZES = ['rss', 'heapUsed', 'external']
// The sizes whose garbage does not count.
const COLLECTED = new Set(['heapUsed', 'external'])
// A size may always grow by this many MiB, because one large event is more than 5 % of a small size.
const TOLERANCE = 1
// Handles and descriptors without a client may grow by this share of the streams. Some clients are always connecting.
const COUNTS = ['handles', 'descriptors']
const COUNT_SHARE = 0.02

/** Writes the samples as JSON, and the plots. */
export function save({ samples, clients }, options) {
  mkdirSync(options.out, { recursive: true })
  writeFileSync(`${options.out}/samples.json`, `${JSON.stringify({ options, clients, samples })}\n`)
  for (const [name, svg] of Object.entries(chartsOf(samples, titleOf(options))))
    writeFileSync(`${options.out}/${name}.svg`, svg)
}

/** Prints the growth of each figure. Returns whether none grows and no client has lost an event. */
export function judge({ samples, clients }, { server, streams }) {
  const figures = [
    ...SIZES.map((name) => sizeOf(samples, name)),
    ...COUNTS.map((name) => countOf(samples, name, streams)),
  ]
  console.table(Object.fromEntries(figures.map(({ name, row }) => [name, row])))
  console.table(clients)
  const growing = figures.filter(({ hasGrown }) => hasGrown).map(({ name }) => name)
  if (growing.length > 0) console.log(`GROWS within the second half: ${growing.join(', ')}`)
  // The bare server has no ids, so its clients miss events between two connections.
  const isExact = server === 'bare' || clients.lost + clients.repeated === 0
  if (!isExact) console.log(`NOT EXACT: ${clients.lost} events lost, ${clients.repeated} repeated`)
  return growing.length === 0 && isExact
}

function sizeOf(samples, name) {
  const all = seriesOf(samples, name, MIB)
  const points = COLLECTED.has(name) ? floorOf(all) : all
  const row = { ...rowOf(points), percent: rounded(100 * growthShareOf(points)) }
  return { name: `${name}, MiB`, row, hasGrown: !isFlat(points, TOLERANCE) }
}

function countOf(samples, name, streams) {
  const points = samples.map(({ time, clients, [name]: count }) => ({ time, value: count - clients.open }))
  const hasGrown = growthOf(points) > COUNT_SHARE * streams
  return { name: `${name} without a client`, row: rowOf(points), hasGrown }
}

function rowOf(points) {
  const at = (share) => rounded(points[Math.floor(share * (points.length - 1))].value)
  return { start: at(0), middle: at(0.5), end: at(1), growth: rounded(growthOf(points)) }
}

function chartsOf(samples, title) {
  const chart = (what, unit, scale, names) =>
    lineChart({
      title: `${what}, ${title}`,
      unit,
      series: Object.entries(names).map(([name, label]) => ({
        name: label,
        points: seriesOf(samples, name, scale),
      })),
    })
  return {
    memory: chart('Memory', 'MiB', MIB, {
      rss: 'resident',
      heapTotal: 'heap',
      heapUsed: 'heap used',
      external: 'external',
    }),
    handles: chart('Handles and descriptors', '', 1, { handles: 'handles', descriptors: 'descriptors' }),
    delay: chart('Delay of the event loop', 'ms', 1, {
      delayMax: 'maximum',
      delayP99: 'p99',
      delayP50: 'median',
    }),
  }
}

function titleOf({ server, streams, churn, slow }) {
  // Digits in groups of three, with spaces.
  const grouped = streams.toLocaleString('fr').replaceAll(/\s/g, ' ')
  return `${server}: ${grouped} streams, ${churn} reconnects a second, ${slow} slow clients`
}

function seriesOf(samples, name, scale) {
  return samples.map(({ time, [name]: value }) => ({ time, value: value / scale }))
}

function rounded(value) {
  return Number(value.toFixed(1))
}
