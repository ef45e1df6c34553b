import { interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['socket', 'spillway', 'res-write', 'better-sse']
const CLIENTS = 500
const ROUNDS = 12
const EVENTS = { count: 20, interval: 50 }

buildSpillway()
printSetting(`latency: from publishing to arrival, ${CLIENTS} clients, one event every ${EVENTS.interval} ms`)
const started = await Promise.all(
  CONTENDERS.map(async (name) => [name, await startCrowd(name, CLIENTS, { isTimed: true })]),
)
const crowds = Object.fromEntries(started)
await interleave(CONTENDERS, 2, measure)
const measured = await interleave(CONTENDERS, ROUNDS, measure)
for (const crowd of Object.values(crowds)) await crowd.stop()

const ratioOf = (name, figure) => ratio(measured.get(name), measured.get('res-write'), figure)
const rows = CONTENDERS.map((name) => {
  const { p50, p99, max } = medians(measured.get(name))
  return [name, ...[p50, p99, max, ratioOf(name, 'p50'), ratioOf(name, 'p99')].map(fixed(2))]
})
printTable(['ms', 'p50', 'p99', 'max', 'p50 / res-write', 'p99 / res-write'], rows)
printTarget('p50 / res-write', ratioOf('spillway', 'p50'), 1)
printTarget('p99 / res-write', ratioOf('spillway', 'p99'), 1)

async function measure(name) {
  const { clients } = crowds[name]
  await crowds[name].publish(EVENTS)
  const { count, ...latencies } = await clients.ask('takeLatencies')
  if (count !== EVENTS.count * CLIENTS) throw new Error(`${count} latencies.`)
  return latencies
}
