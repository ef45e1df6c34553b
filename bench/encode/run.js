import { interleave, medians } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { SERVER_CORE, start } from '../lib/child.js'
import { printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['spillway', 'eventsource-encoder', 'better-sse']
const CASES = ['small JSON, id, name', 'token', 'ten lines of text', '10 KB of text', '10 KB of JSON']
const ROUNDS = 9
const DURATION = 60

buildSpillway()
printSetting('encode: events a second, and CPU time against the fastest peer')
const workers = Object.fromEntries(
  CONTENDERS.map((name) => [
    name,
    start(new URL('./worker.js', import.meta.url), { core: SERVER_CORE, args: [name] }),
  ]),
)
for (const into of ['text', 'bytes']) {
  console.log(into === 'text' ? 'as text:\n' : 'as text, written into a buffer as UTF-8:\n')
  const rows = []
  for (const name of CASES) rows.push([name, ...(await figures(name, into))])
  printTable(['M events/s', ...CONTENDERS, 'time / fastest peer'], rows)
  const worst = Math.max(...rows.map((row) => Number(row.at(-1))))
  printTarget('time of ours in the worst case / the fastest peer', worst, 1)
  console.log()
}
for (const worker of Object.values(workers)) await worker.stop()

async function figures(name, into) {
  const measure = (contender) => workers[contender].ask('run', { name, into, duration: DURATION })
  // The first rounds let the engine optimize.
  await interleave(CONTENDERS, 2, measure)
  const measured = await interleave(CONTENDERS, ROUNDS, measure)
  const [ours, ...peers] = CONTENDERS.map((contender) => medians(measured.get(contender)).ns)
  return [...[ours, ...peers].map((ns) => (1000 / ns).toFixed(3)), (ours / Math.min(...peers)).toFixed(2)]
}
