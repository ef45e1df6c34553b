import { interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { costOfIdleStream } from '../lib/cost-per-stream.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['bare', 'spillway', 'spillway hub', 'better-sse', 'hono']
const STREAMS = 5_000
const WARM_UP = 1_000
const ROUNDS = 5

const server = new URL('./server.js', import.meta.url)

buildSpillway()
printSetting(`idle: ${STREAMS} streams that are sent nothing, per stream`)
const measured = await interleave(CONTENDERS, ROUNDS, (contender) =>
  costOfIdleStream(server, contender, { count: STREAMS, warmUp: WARM_UP }),
)
const of = (contender) => medians(measured.get(contender))
const bare = of('bare')
const ratioOf = (contender) => ratio(measured.get(contender), measured.get('bare'), 'cpu')
const rows = CONTENDERS.map((contender) => {
  const { heap, external, rss, cpu } = of(contender)
  const bytes = [heap, heap - bare.heap, external, rss].map(fixed(0))
  return [contender, ...bytes, cpu.toFixed(1), ratioOf(contender).toFixed(2)]
})
printTable(['', 'heap B', '- bare', 'external B', 'RSS B', 'accept and respond, CPU µs', '/ bare'], rows)
printTarget('heap over bare', of('spillway').heap - bare.heap, 1024, ' B')
printTarget(
  'heap of a stream that follows a channel, over bare',
  of('spillway hub').heap - bare.heap,
  1229,
  ' B',
)
printTarget('CPU to accept and respond / bare', ratioOf('spillway'), 1.2)
printTarget('CPU to accept, answer and subscribe / bare', ratioOf('spillway hub'), 1.25)
