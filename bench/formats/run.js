import { FRESH_PROCESSES, gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// A line of NDJSON ends the data and the event.
const REQUESTS = { 'event stream': {}, NDJSON: { path: '/?format=ndjson', end: '}}\n' } }
const CONTENDERS = Object.keys(REQUESTS)
const CLIENTS = 500
const PER_TURN = 10
const SINGLE = { count: 40, interval: 20 }
const BURST = { count: 120, perTurn: PER_TURN, interval: 50 }
const ROUNDS = 8
const server = new URL('./server.js', import.meta.url)

buildSpillway()
printSetting("formats: the server's CPU time for each event that each client is sent, µs")
const singles = new Map()
const bursts = new Map()
for (let i = 0; i < FRESH_PROCESSES; i++) {
  const crowds = await startCrowds()
  gather(singles, await measureAll(crowds, SINGLE))
  gather(bursts, await measureAll(crowds, BURST))
  for (const crowd of Object.values(crowds)) await crowd.stop()
}
report(`${CLIENTS} clients, one event every ${SINGLE.interval} ms`, singles)
report(`${CLIENTS} clients, ${PER_TURN} events in one turn, every ${BURST.interval} ms`, bursts)

async function startCrowds() {
  const start = async (name) => [name, await startCrowd(name, CLIENTS, { server, ...REQUESTS[name] })]
  return Object.fromEntries(await Promise.all(CONTENDERS.map(start)))
}

async function measureAll(crowds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(CONTENDERS, 1, measure)
  return interleave(CONTENDERS, ROUNDS, measure)
}

function report(title, measured) {
  console.log(`${title}:\n`)
  const base = measured.get('event stream')
  const rows = [...measured].map(([name, rounds]) => {
    const { cpu, user, busy } = medians(rounds)
    const ratios = ['cpu', 'user'].map((figure) => ratio(rounds, base, figure))
    return [name, ...[cpu, user, ...ratios, busy].map(fixed(2))]
  })
  const header = ['µs a delivery', 'CPU', 'user', '/ event stream', '… user', 'clients busy']
  printTable(header, rows)
  printTarget('CPU of NDJSON / event stream', ratio(measured.get('NDJSON'), base, 'cpu'), 1.1)
  console.log()
}
