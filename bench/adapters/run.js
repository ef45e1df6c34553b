import { gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Compares each adapter with the usual code of its framework, with one event and with ten events in one turn. `single`
// and `burst` are the ratios that the adapter may reach. Only the contenders of one framework run at the same time,
// because each further process evicts the data of the others from the caches.
const ALL_FRAMEWORKS = {
  hono: [
    { ours: 'hono, spillway', theirs: 'hono, streamSSE', single: 0.55, burst: 0.2 },
    // The minimal cost of a fetch server, which has no target.
    { ours: 'hono, spillway', theirs: 'hono, enqueue' },
  ],
  fastify: [{ ours: 'fastify, spillway', theirs: 'fastify, @fastify/sse', single: 0.8, burst: 0.4 }],
  express: [{ ours: 'express, spillway', theirs: 'node:http, spillway', single: 1.05, burst: 1.05 }],
}
const [, , framework] = process.argv
if (framework && !ALL_FRAMEWORKS[framework]) {
  throw new Error(
    `Unknown framework ${framework}. Known frameworks: ${Object.keys(ALL_FRAMEWORKS).join(', ')}.`,
  )
}
const FRAMEWORKS = framework ? { [framework]: ALL_FRAMEWORKS[framework] } : ALL_FRAMEWORKS
const CLIENTS = 200
// Some targets are within a few per cent. The difference between processes is larger than the one between rounds.
const FRESH_PROCESSES = 6
const ROUNDS = 3
const PER_TURN = 10
const SINGLE = { count: 120, interval: 20 }
const BURST = { count: 200, interval: 50, perTurn: PER_TURN }

buildSpillway()
printSetting("adapters: the server's CPU time for each event that each client is sent, µs")
const server = new URL('./server.js', import.meta.url)
for (const pairs of Object.values(FRAMEWORKS)) await compare(pairs)

async function compare(pairs) {
  const contenders = [...new Set(pairs.flatMap(({ ours, theirs }) => [ours, theirs]))]
  const singles = new Map()
  const bursts = new Map()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const started = contenders.map(async (name) => [name, await startCrowd(name, CLIENTS, { server })])
    const crowds = Object.fromEntries(await Promise.all(started))
    gather(singles, await measureAll(crowds, SINGLE))
    gather(bursts, await measureAll(crowds, BURST))
    for (const crowd of Object.values(crowds)) await crowd.stop()
  }
  report(pairs, singles, 'single', `one event every ${SINGLE.interval} ms`)
  report(pairs, bursts, 'burst', `${PER_TURN} events in one turn, every ${BURST.interval} ms`)
}

async function measureAll(crowds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  const contenders = Object.keys(crowds)
  await interleave(contenders, 1, measure)
  return interleave(contenders, ROUNDS, measure)
}

function report(pairs, measured, mode, title) {
  console.log(`${CLIENTS} clients, ${title}:\n`)
  const ratioOf = ({ ours, theirs }) => ratio(measured.get(ours), measured.get(theirs), 'cpu')
  const rows = [...measured].map(([name, measurements]) => {
    const { cpu, user, busy } = medians(measurements)
    return [name, ...[cpu, user, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', 'clients busy'], rows)
  for (const pair of pairs) {
    const label = `${pair.ours} / ${pair.theirs}`
    if (pair[mode]) printTarget(label, ratioOf(pair), pair[mode])
    else console.log(`${label}: ${ratioOf(pair).toFixed(2)}`)
  }
  console.log()
}
