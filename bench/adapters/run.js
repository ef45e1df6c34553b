import { interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Each of ours against the usual way of its framework, and what it may cost of that: one event, and ten in one turn.
const PAIRS = [
  { ours: 'hono, spillway', theirs: 'hono, streamSSE', single: 0.55, burst: 0.2 },
  { ours: 'fastify, spillway', theirs: 'fastify, @fastify/sse', single: 0.8, burst: 0.4 },
  { ours: 'express, spillway', theirs: 'node:http, spillway', single: 1.05, burst: 1.05 },
]
const CONTENDERS = [...new Set(PAIRS.flatMap(({ ours, theirs }) => [ours, theirs]))]
const CLIENTS = 200
const ROUNDS = 8
const PER_TURN = 10

buildSpillway()
printSetting("adapters: the server's CPU time for each event that each client is sent, µs")
const server = new URL('./server.js', import.meta.url)
const crowds = Object.fromEntries(
  await Promise.all(CONTENDERS.map(async (name) => [name, await startCrowd(name, CLIENTS, { server })])),
)
await compare('single', { count: 60, interval: 20 })
await compare('burst', { count: 200, interval: 50, perTurn: PER_TURN })
for (const crowd of Object.values(crowds)) await crowd.stop()

async function compare(mode, publishing) {
  const says = publishing.perTurn ? `${PER_TURN} events in one turn` : 'one event'
  console.log(`${CLIENTS} clients, ${says}, every ${publishing.interval} ms:\n`)
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(CONTENDERS, 1, measure)
  const measured = await interleave(CONTENDERS, ROUNDS, measure)
  const rows = CONTENDERS.map((name) => {
    const { cpu, user, busy } = medians(measured.get(name))
    return [name, ...[cpu, user, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', 'clients busy'], rows)
  for (const { ours, theirs, [mode]: target } of PAIRS)
    printTarget(`${ours} / ${theirs}`, ratio(measured.get(ours), measured.get(theirs), 'cpu'), target)
  console.log()
}
