import { interleave, medians, ratio, startClients, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, start } from '../lib/child.js'
import { costPerStream } from '../lib/cost-per-stream.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const STREAMS = 2_000
const WARM_UP = 1_000
const ROUNDS = 3
// How many events each client of a used connection has polled before.
const EVENTS = 10

// `ID` is the id of the newest event.
const REQUESTS = {
  'event stream': { path: '/' },
  NDJSON: { path: '/?format=ndjson' },
  'long poll': { path: '/?format=json' },
  'long poll, with a cursor': { path: '/?format=json&lastEventId=ID' },
  'long poll, with a shorter hold': { path: '/?format=json&lastEventId=ID&hold=3000000' },
  'long poll, on a used connection': { path: '/?format=json', isUsed: true },
}
const CONTENDERS = Object.keys(REQUESTS)
const BASE = 'event stream'

buildSpillway()
printSetting(`held-poll: ${STREAMS} subscribed clients that are sent nothing, per client`)
const measured = await interleave(CONTENDERS, ROUNDS, measure)
const rows = CONTENDERS.map((contender) => {
  const { heap, external, rss, cpu } = medians(measured.get(contender))
  const ratios = ['heap', 'rss', 'cpu'].map((figure) => ratioOf(contender, figure))
  return [contender, ...[heap, external, rss, cpu].map(fixed(0)), ...ratios.map(fixed(2))]
})
printTable(['', 'heap B', 'external B', 'RSS B', 'accept, CPU µs', 'heap / stream', 'RSS /', 'CPU /'], rows)
for (const contender of CONTENDERS.slice(2))
  printTarget(`heap of a ${contender} / event stream`, ratioOf(contender, 'heap'), 1)

function ratioOf(contender, figure) {
  return ratio(measured.get(contender), measured.get(BASE), figure)
}

// Uses new processes each time, because the layout of a heap depends on its earlier content.
async function measure(contender) {
  const nodeFlags = ['--expose-gc']
  const server = await startServer(new URL('./server.js', import.meta.url), contender, { nodeFlags })
  const clients = await startClientsOf(contender)
  await open(WARM_UP, contender, server, clients)
  await clients.ask('close')
  await server.run('unconnected')
  const cost = await costPerStream(server, STREAMS, () => open(STREAMS, contender, server, clients))
  await Promise.all([server.stop(), clients.stop()])
  return cost
}

function startClientsOf(contender) {
  if (!REQUESTS[contender].isUsed) return startClients()
  return start(new URL('../lib/poll-clients.js', import.meta.url), { core: CLIENT_CORE })
}

async function open(count, contender, server, clients) {
  const { path, isUsed } = REQUESTS[contender]
  const { id } = await server.run('publish')
  const options = { port: server.port, count, path: path.replace('ID', id) }
  await clients.ask('open', isUsed ? options : { ...options, isHeld: true })
  await server.run('requests', { count })
  for (let event = 0; isUsed && event < EVENTS; event++) {
    const { newest } = await server.run('publish')
    await clients.ask('receive', { newest })
    await server.run('requests', { count })
  }
}
