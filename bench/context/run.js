import { interleave, medians } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { costOfIdleStream } from '../lib/cost-per-stream.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'
import { WAYS } from './ways.js'

const CONTENDERS = Object.keys(WAYS).filter((name) => name.includes(process.argv[2] ?? ''))
const STREAMS = 5_000
const WARM_UP = 1_000
const ROUNDS = 3
const TARGET = 120

const server = new URL('./server.js', import.meta.url)

buildSpillway()
printSetting(`context: the heap of ${STREAMS} streams that are sent nothing, per stream`)
const measured = await interleave(CONTENDERS, ROUNDS, (contender) =>
  costOfIdleStream(server, contender, { count: STREAMS, warmUp: WARM_UP }),
)
const heapOf = (contender) => medians(measured.get(contender)).heap
const without = (contender) => heapOf(contender.replace(/: .*/, ': without'))
const rows = CONTENDERS.map((contender) => {
  const heap = heapOf(contender)
  return [contender, ...[heap, heap - without(contender)].map(fixed(0))]
})
printTable(['', 'heap B', '- without'], rows)
for (const contender of CONTENDERS.filter((name) => !name.endsWith('without')))
  printTarget(`${contender}, over without`, heapOf(contender) - without(contender), TARGET, ' B')
