import { interleave, medians, ratio, startClients, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['bare', 'spillway', 'spillway hub', 'better-sse', 'hono']
const STREAMS = 5_000
const WARM_UP = 1_000
const ROUNDS = 5

buildSpillway()
printSetting(`idle: ${STREAMS} streams that are sent nothing, per stream`)
const measured = await interleave(CONTENDERS, ROUNDS, measure)
const of = (contender) => medians(measured.get(contender))
const bare = of('bare')
const ratioOf = (contender) => ratio(measured.get(contender), measured.get('bare'), 'cpu')
const rows = CONTENDERS.map((contender) => {
  const { heap, external, rss, cpu } = of(contender)
  const bytes = [heap, heap - bare.heap, external, rss].map(fixed(0))
  return [contender, ...bytes, cpu.toFixed(1), ratioOf(contender).toFixed(2)]
})
printTable(['', 'heap B', '- bare', 'external B', 'RSS B', 'accept and answer, CPU µs', '/ bare'], rows)
printTarget('heap over bare', of('spillway').heap - bare.heap, 1024, ' B')
printTarget(
  'heap of a stream that follows a channel, over bare',
  of('spillway hub').heap - bare.heap,
  1229,
  ' B',
)
printTarget('CPU to accept and answer / bare', ratioOf('spillway'), 1.2)
printTarget('CPU to accept, answer and subscribe / bare', ratioOf('spillway hub'), 1.25)

// Uses new processes each time, because the layout of a heap depends on its earlier content.
async function measure(contender) {
  const nodeFlags = ['--expose-gc']
  const server = await startServer(new URL('./server.js', import.meta.url), contender, { nodeFlags })
  const clients = await startClients()
  const { port } = server
  await clients.ask('open', { port, count: WARM_UP })
  await clients.ask('close')
  const before = await server.ask('memory')
  const { cpu } = await server.measure(() => clients.ask('open', { port, count: STREAMS }))
  const after = await server.ask('memory')
  await Promise.all([server.stop(), clients.stop()])
  const perStream = (name) => (after[name] - before[name]) / STREAMS
  return {
    heap: perStream('heap'),
    external: perStream('external'),
    rss: perStream('rss'),
    cpu: cpu / STREAMS,
  }
}
