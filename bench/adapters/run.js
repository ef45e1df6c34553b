import { gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Each of ours against the usual way of its framework, and what it may cost of that: one event, and ten in one turn.
const ALL_PAIRS = [
  { ours: 'hono, spillway', theirs: 'hono, streamSSE', single: 0.55, burst: 0.2 },
  { ours: 'fastify, spillway', theirs: 'fastify, @fastify/sse', single: 0.8, burst: 0.4 },
  { ours: 'express, spillway', theirs: 'node:http, spillway', single: 1.05, burst: 1.05 },
]
// The floor of what a fetch server costs, without a target of its own.
const FLOOR = { ours: 'hono, spillway', theirs: 'hono, enqueue' }
const [, , framework = ''] = process.argv
const PAIRS = [...ALL_PAIRS, FLOOR].filter(({ ours }) => ours.startsWith(framework))
const CONTENDERS = [...new Set(PAIRS.flatMap(({ ours, theirs }) => [ours, theirs]))]
const CLIENTS = 200
// A few per cent are asked of some: what one process differs from the next weighs more than what a round does.
const FRESH_PROCESSES = 6
const ROUNDS = 3
const PER_TURN = 10
const SINGLE = { count: 60, interval: 20 }
const BURST = { count: 200, interval: 50, perTurn: PER_TURN }

buildSpillway()
printSetting("adapters: the server's CPU time for each event that each client is sent, µs")
const server = new URL('./server.js', import.meta.url)
const singles = new Map()
const bursts = new Map()
for (let i = 0; i < FRESH_PROCESSES; i++) {
  const started = CONTENDERS.map(async (name) => [name, await startCrowd(name, CLIENTS, { server })])
  const crowds = Object.fromEntries(await Promise.all(started))
  gather(singles, await measureAll(crowds, SINGLE))
  gather(bursts, await measureAll(crowds, BURST))
  for (const crowd of Object.values(crowds)) await crowd.stop()
}
report(singles, 'single', `one event every ${SINGLE.interval} ms`)
report(bursts, 'burst', `${PER_TURN} events in one turn, every ${BURST.interval} ms`)

async function measureAll(crowds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(CONTENDERS, 1, measure)
  return interleave(CONTENDERS, ROUNDS, measure)
}

function report(measured, mode, says) {
  console.log(`${CLIENTS} clients, ${says}:\n`)
  const ratioOf = ({ ours, theirs }) => ratio(measured.get(ours), measured.get(theirs), 'cpu')
  const rows = CONTENDERS.map((name) => {
    const { cpu, user, busy } = medians(measured.get(name))
    return [name, ...[cpu, user, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', 'clients busy'], rows)
  for (const pair of PAIRS) {
    const says = `${pair.ours} / ${pair.theirs}`
    if (pair[mode]) printTarget(says, ratioOf(pair), pair[mode])
    else console.log(`${says}: ${ratioOf(pair).toFixed(2)}`)
  }
  console.log()
}
