import { FRESH_PROCESSES, gather, interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['res-write', 'res-write, bytes', 'spillway', 'better-sse']
// A browser opens one connection for all its streams. A client that is a program usually has one stream. The cost of
// publishing an event is shared by all clients, so their number changes the ratios.
const CASES = [
  { clients: 200, perSession: 50 },
  { clients: 500, perSession: 50 },
  { clients: 200, perSession: 1 },
]
const PER_TURN = 10
// Code that runs once per event is compiled after thousands of events only.
const WARM_UP = { count: 2_000, interval: 1 }
const SINGLE = { count: 50, interval: 20 }
const BURST = { count: 100, interval: 50, perTurn: PER_TURN }
const ROUNDS = 6

buildSpillway()
printSetting("http2: the server's CPU time for each event that each client is sent, µs")
const server = new URL('./server.js', import.meta.url)
for (const { clients, perSession } of CASES) {
  const singles = new Map()
  const bursts = new Map()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const crowds = await startCrowds(clients, perSession)
    for (const crowd of Object.values(crowds)) await crowd.publish(WARM_UP)
    gather(singles, await measureAll(crowds, SINGLE))
    gather(bursts, await measureAll(crowds, BURST))
    for (const crowd of Object.values(crowds)) await crowd.stop()
  }
  const title = `${clients} clients, streams per connection: ${perSession}`
  console.log(`${title}, one event every ${SINGLE.interval} ms:\n`)
  report(singles)
  console.log(`${title}, ${PER_TURN} events in one turn, every ${BURST.interval} ms:\n`)
  report(bursts)
}

async function startCrowds(clients, perSession) {
  const started = CONTENDERS.map(async (name) => [
    name,
    await startCrowd(name, clients, { server, perSession }),
  ])
  return Object.fromEntries(await Promise.all(started))
}

async function measureAll(crowds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(CONTENDERS, 1, measure)
  return interleave(CONTENDERS, ROUNDS, measure)
}

function report(measured) {
  const ratioOf = (name, figure) => ratio(measured.get(name), measured.get('res-write'), figure)
  const rows = [...measured].map(([name, rounds]) => {
    const { cpu, user, busy } = medians(rounds)
    return [name, ...[cpu, user, ratioOf(name, 'cpu'), ratioOf(name, 'user'), busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', '/ res-write', 'user / res-write', 'clients busy'], rows)
  printTarget('CPU of spillway / res-write', ratioOf('spillway', 'cpu'), 1)
  console.log()
}
