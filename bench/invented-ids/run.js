import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildSpillway } from '../lib/build.js'
import { rangesOf, startReplayFleet } from '../lib/replay-fleet.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Requests with invented ids, each on a connection that its client closes at the first bytes of the response.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    entries: { type: 'string', default: '5000' },
    size: { type: 'string', default: '2000' },
    recent: { type: 'string', default: '100' },
  },
})
const [rate, seconds, count, size, recentEvents] = [
  values.rate,
  values.seconds,
  values.entries,
  values.size,
  values.recent,
].map(Number)
const brokers = positionals.length > 0 ? positionals : ['Redis', 'JetStream']
const MB = 1024 * 1024
const CALM = 4_000

const random = (below) => Math.floor(Math.random() * below)

// How each broker's ids are invented, from the ids of its log.
const KINDS = {
  Redis: {
    'older: 1-0, 2-0, …': () => (i) => `${i + 1}-0`,
    'between others': (ids) => {
      const [first, last] = [ids[0], ids.at(-1 - recentEvents)].map((id) => Number(id.split('-')[0]))
      return () => `${first + random(last - first)}-${1_000_000 + random(1_000_000)}`
    },
    'in the future': () => (i) => `${Date.now() + 3_600_000 + i}-0`,
  },
  JetStream: {
    'out of range': (ids) => {
      const [epoch] = ids[0].split('-')
      return (i) => `${epoch}-${1_000_000 + i}`
    },
    foreign: () => (i) => `${(i + 1).toString(36)}-${i}`,
  },
}

buildSpillway()
printSetting(`invented-ids: ${rate} requests a second for ${seconds} s`)
const rows = []
const targets = []
for (const broker of brokers) for (const kind of Object.keys(KINDS[broker])) await measure(broker, kind)
printTable(
  [
    '',
    'responses',
    'p99 ms calm',
    'attacked',
    'ratio',
    'publish p99 ms',
    'rejected',
    'live clients cut',
    'state changes',
    'range commands',
    'MB from the broker',
    'CPU server',
    'broker',
    'peak RSS MB',
  ],
  rows,
)
for (const [text, value, limit] of targets) printTarget(text, value, limit)

async function measure(broker, kind) {
  const fleet = await startReplayFleet(broker, { count, size, store: { recentEvents } })
  await sleep(1_000)
  const invent = KINDS[broker][kind](fleet.ids)
  const ids = Array.from({ length: rate * seconds }, (_, i) => invent(i))
  const calm = await fleet.measure(() => sleep(CALM))
  const attacked = await fleet.measure(() =>
    fleet.clients.ask('probeAll', { port: fleet.server.port, channel: 'c0', ids, perSecond: rate }),
  )
  await fleet.stop()
  const { latency, rejected, published, missing, disconnected, changes } = attacked
  const ratio = latency.p99 / calm.latency.p99
  const counts = Object.entries(attacked.counts).map(([name, number]) => `${name} ${number}`)
  rows.push([
    `${broker}, ${kind}`,
    attacked.ended ??
      Object.entries(attacked.result ?? {})
        .map(([status, number]) => `${number} × ${status}`)
        .join(', '),
    ...[calm.latency.p99, latency.p99, ratio].map(fixed(2)),
    attacked.publish.toFixed(0),
    `${rejected} of ${published}`,
    disconnected,
    changes,
    broker === 'Redis' ? rangesOf(attacked.counts) : counts.join(', '),
    (attacked.bytes / MB).toFixed(1),
    ...[attacked.server.cpu, attacked.broker.cpu].map(fixed(2)),
    (attacked.server.peakRss / MB).toFixed(0),
  ])
  const name = `${broker}, ${kind}`
  targets.push([`${name}: p99 / calm`, ratio, 1.5])
  targets.push([`${name}: rejected, missing or cut`, rejected + missing + disconnected, 0])
  targets.push([`${name}: changes of the hub's state`, changes, 0])
}
