import { interleave, medians, ratio, startClients, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['spillway', 'res-write', 'better-sse', 'hono']
// A process that sleeps between tokens finds cold caches: a timer's figures scatter more, and get more rounds.
const MODES = [
  { pace: 'turn', rounds: 16, perTurn: 1, count: 10_000, says: 'one token a turn of the event loop' },
  { pace: 'timer', rounds: 24, perTurn: 1, count: 300, says: 'one token a millisecond, by a timer' },
  { pace: 'turn', rounds: 16, perTurn: 5, count: 20_000, says: 'five tokens a turn' },
]
const WAYS = { send: 'called with each token', generator: 'out of an async generator' }

buildSpillway()
printSetting('single-stream: CPU time of the server per token, µs')
const url = new URL('./server.js', import.meta.url)
const servers = Object.fromEntries(
  await Promise.all(CONTENDERS.map(async (name) => [name, await startServer(url, name)])),
)
const clients = await startClients()
for (const mode of MODES) {
  for (const way of Object.keys(WAYS)) await compare(mode, way)
}
for (const server of [clients, ...Object.values(servers)]) await server.stop()

async function compare({ says, rounds, ...mode }, way) {
  const measure = (contender) => measureTokens(servers[contender], mode, way)
  await interleave(CONTENDERS, 2, measure)
  const measured = await interleave(CONTENDERS, rounds, measure)
  const ratioOf = (contender) => ratio(measured.get(contender), measured.get('res-write'), 'cpu')
  console.log(`${says}, ${WAYS[way]}:\n`)
  const rows = CONTENDERS.map((contender) => {
    const { cpu, user } = medians(measured.get(contender))
    return [contender, ...[cpu, user, ratioOf(contender)].map(fixed(2))]
  })
  printTable(['µs a token', 'CPU', 'user', '/ res-write'], rows)
  printTarget('CPU of ours / res-write', ratioOf('spillway'), 1)
  console.log()
}

async function measureTokens(server, mode, way) {
  await clients.ask('open', { port: server.port, count: 1 })
  await server.hasStreams(1)
  const { cpu, user } = await server.measure(async () => {
    await server.run('tokens', { ...mode, way })
    await clients.ask('receive', { events: mode.count })
  })
  await server.run('end')
  await clients.ask('close')
  await server.hasStreams(0)
  return { cpu: cpu / mode.count, user: user / mode.count }
}
