import { FRESH_PROCESSES, gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['socket', 'spillway', 'res-write', 'better-sse']
const FILTERED = 'spillway, filters'
const BASES = ['socket', 'res-write', 'better-sse']
const WITH_FLOOR = [...CONTENDERS, 'socket, joined']
// The deliveries per second are similar for every number of clients, because 5 000 every 20 ms exceed one core.
const SIZES = [
  {
    clients: 500,
    single: { count: 40, interval: 20 },
    isFiltered: true,
    burst: { count: 120, interval: 50 },
  },
  { clients: 5_000, single: { count: 6, interval: 150 }, burst: { count: 20, interval: 500 } },
]
const PER_TURN = 10
const ROUNDS = 8
const sizes = SIZES.filter(({ clients }) => !process.argv[2] || clients === Number(process.argv[2]))

buildSpillway()
printSetting("fan-out: the server's CPU time for each event that each client is sent, µs")
for (const size of sizes) {
  const singles = new Map()
  const bursts = new Map()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const filtered = size.isFiltered ? [FILTERED] : []
    const crowds = await startCrowds([...WITH_FLOOR, ...filtered], size.clients)
    gather(singles, await measureAll(crowds, [...CONTENDERS, ...filtered], size.single))
    gather(bursts, await measureAll(crowds, WITH_FLOOR, { ...size.burst, perTurn: PER_TURN }))
    for (const crowd of Object.values(crowds)) await crowd.stop()
  }
  reportSingles(singles, size)
  reportBursts(bursts, size)
}

async function startCrowds(contenders, clients) {
  const crowds = await Promise.all(contenders.map((name) => startCrowd(name, clients)))
  return Object.fromEntries(contenders.map((name, i) => [name, crowds[i]]))
}

async function measureAll(crowds, contenders, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(contenders, 1, measure)
  return interleave(contenders, ROUNDS, measure)
}

function reportSingles(singles, { clients, single }) {
  console.log(`${clients} clients, one event every ${single.interval} ms:\n`)
  printMeasured(singles)
  printTarget('CPU / socket', ratioTo('socket', singles), 1.1)
  printTarget('CPU / better-sse', ratioTo('better-sse', singles), 0.75)
  printTarget('user CPU / better-sse', ratioTo('better-sse', singles, 'user'), 0.45)
  if (singles.has(FILTERED)) {
    const toUnfiltered = ratio(singles.get(FILTERED), singles.get('spillway'), 'cpu')
    printTarget('CPU with one filtered client in ten / spillway', toUnfiltered, 1.05)
  }
  console.log()
}

function reportBursts(bursts, { clients, burst }) {
  console.log(`${clients} clients, ${PER_TURN} events in one turn, every ${burst.interval} ms:\n`)
  printMeasured(bursts)
  printTarget('CPU / better-sse', ratioTo('better-sse', bursts), 0.35)
  printTarget('CPU / res-write', ratioTo('res-write', bursts), 0.5)
  console.log()
}

function printMeasured(measured) {
  const rows = [...measured].map(([name, rounds]) => {
    const { cpu, user, busy } = medians(rounds)
    const ratios = BASES.map((base) => ratio(rounds, measured.get(base), 'cpu'))
    return [name, ...[cpu, user, ...ratios, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', ...BASES.map((base) => `/ ${base}`), 'clients busy'], rows)
}

function ratioTo(other, measured, figure = 'cpu') {
  return ratio(measured.get('spillway'), measured.get(other), figure)
}
