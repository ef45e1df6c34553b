import { gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Each of ours against the usual way of its framework, and what it may cost of that: one event, and ten in one turn.
// What is compared runs side by side, and nothing else does: each process more has the caches forget what the others need.
const ALL_FRAMEWORKS = {
  hono: [
    { ours: 'hono, spillway', theirs: 'hono, streamSSE', single: 0.55, burst: 0.2 },
    // The floor of what a fetch server costs, without a target of its own.
    { ours: 'hono, spillway', theirs: 'hono, enqueue' },
  ],
  fastify: [{ ours: 'fastify, spillway', theirs: 'fastify, @fastify/sse', single: 0.8, burst: 0.4 }],
  express: [{ ours: 'express, spillway', theirs: 'node:http, spillway', single: 1.05, burst: 1.05 }],
}
const [, , framework] = process.argv
if (framework && !ALL_FRAMEWORKS[framework]) {
  throw new Error(`There is no ${framework}. There are: ${Object.keys(ALL_FRAMEWORKS).join(', ')}.`)
}
const FRAMEWORKS = framework ? { [framework]: ALL_FRAMEWORKS[framework] } : ALL_FRAMEWORKS
const CLIENTS = 200
// A few per cent are asked of some: what one process differs from the next weighs more than what a round does.
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

function report(pairs, measured, mode, says) {
  console.log(`${CLIENTS} clients, ${says}:\n`)
  const ratioOf = ({ ours, theirs }) => ratio(measured.get(ours), measured.get(theirs), 'cpu')
  const rows = [...measured].map(([name, measurements]) => {
    const { cpu, user, busy } = medians(measurements)
    return [name, ...[cpu, user, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', 'clients busy'], rows)
  for (const pair of pairs) {
    const says = `${pair.ours} / ${pair.theirs}`
    if (pair[mode]) printTarget(says, ratioOf(pair), pair[mode])
    else console.log(`${says}: ${ratioOf(pair).toFixed(2)}`)
  }
  console.log()
}
