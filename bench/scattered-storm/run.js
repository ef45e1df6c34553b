import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildSpillway } from '../lib/build.js'
import { startReplayFleet } from '../lib/replay-fleet.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// With one channel each client is sent half of the log, which are 25 GB in all with the defaults. With 100 channels, of
// which each client has one, the store reads the same.
//
// All clients reconnect at once, each at a position of its own in the part of the log that is only in the broker. Each
// must receive exactly its events.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: 'string', default: '5000' },
    entries: { type: 'string', default: '10000' },
    size: { type: 'string', default: '1000' },
    channels: { type: 'string', default: '100' },
    recent: { type: 'string', default: '100' },
    // The time over which the clients reconnect.
    over: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '60' },
  },
})
const [clients, entries, size, channels, recent, over, seconds] = [
  values.clients,
  values.entries,
  values.size,
  values.channels,
  values.recent,
  values.over,
  values.seconds,
].map(Number)
const brokers = positionals.length > 0 ? positionals : ['Redis', 'JetStream']
const MB = 1024 * 1024
// How long live events are measured without a storm, in ms.
const CALM = 6_000

buildSpillway()
printSetting(`scattered-storm: ${clients} clients reconnect at once within ${entries} entries of ${size} B`)
const measured = []
for (const broker of brokers) {
  // The same storm with everything in the memory of the server, which still has to accept the clients and to send the
  // events.
  const control = await measure(broker, { recentEvents: 2 * entries, recentBytes: 10 * entries * size })
  const figures = await measure(broker, { recentEvents: recent })
  measured.push([`${broker}, in memory`, control, control], [broker, figures, control])
}
printStorms()
for (const [name, figures, control] of measured) if (figures !== control) printTargets(name, figures, control)

async function measure(broker, store) {
  const fleet = await startReplayFleet(broker, { count: entries, size, channels, store })
  await sleep(1_000)
  const calm = await fleet.measure(() => sleep(CALM))
  const starts = Array.from({ length: clients }, (_, i) => Math.floor((i * (entries - recent)) / clients))
  const storm = await fleet.measure(async () => {
    const startedAt = performance.now()
    await fleet.clients.ask('storm', { port: fleet.server.port, starts, channels, over })
    const result = await fleet.clients.ask('complete', { timeout: seconds * 1000 })
    return { ...result, seconds: (performance.now() - startedAt) / 1000 }
  })
  const isLive = storm.result?.complete === clients && (await goLive(fleet))
  await fleet.stop()
  // Without the events that the live clients were sent, as in the calm part.
  const liveBytes = (calm.bytes / calm.published) * storm.published
  return { calm, storm, isLive, multiple: (storm.bytes - liveBytes) / (entries * size) }
}

/** Publishes one more event to each channel. Returns whether each client receives it next. */
async function goLive({ publisher, clients: process, ids }) {
  const more = await publisher.run('fill', { count: channels, size, channels, first: ids.length })
  await process.ask('fill', { ids: [...ids, ...more], channels })
  await process.ask('extend')
  const { complete } = await process.ask('complete', { timeout: 10_000 })
  return complete === clients
}

function printStorms() {
  const header = [
    '',
    'complete',
    'live',
    's',
    'bytes / window',
    'p99 ms calm',
    'storm',
    '/ calm',
    '/ in memory',
    'publish p99 ms',
    'rejected',
    'peak RSS MB',
    'CPU server',
    'broker',
    'most reads waiting, running, MB, s',
    'reconnects',
    'gaps',
    'disorder',
  ]
  const rows = measured.map(([broker, { calm, storm, isLive, multiple }, control]) => [
    broker,
    storm.result ? `${storm.result.complete} of ${clients}` : storm.ended,
    isLive ? 'all' : 'no',
    storm.result?.seconds.toFixed(1) ?? '',
    ...[multiple, calm.latency.p99, storm.latency.p99].map(fixed(2)),
    ...[storm.latency.p99 / calm.latency.p99, storm.latency.p99 / control.storm.latency.p99].map(fixed(2)),
    storm.publish.toFixed(0),
    `${storm.rejected} of ${storm.published}`,
    (storm.server.peakRss / MB).toFixed(0),
    ...[storm.server.peakCpu, storm.broker.peakCpu].map(fixed(2)),
    readsOf(storm),
    storm.result?.reconnects ?? '',
    storm.result?.gaps ?? '',
    storm.result?.disorder ?? '',
  ])
  printTable(header, rows)
}

function readsOf({ reads } = {}) {
  if (!reads) return ''
  const { waiting, running, bytes, oldest } = reads
  return [waiting, running, (bytes / MB).toFixed(1), (oldest / 1000).toFixed(1)].join(', ')
}

function printTargets(broker, { calm, storm, isLive, multiple }, control) {
  printTarget(`${broker}: clients that are not live`, isLive ? 0 : clients - (storm.result?.complete ?? 0), 0)
  printTarget(`${broker}: bytes read from the broker / window`, multiple, 2)
  printTarget(`${broker}: p99 of a live event / without a storm`, storm.latency.p99 / calm.latency.p99, 1.5)
  printTarget(`${broker}: p99 / a storm in memory`, storm.latency.p99 / control.storm.latency.p99, 1.5)
  printTarget(`${broker}: publishes rejected`, storm.rejected, 0)
  printTarget(`${broker}: live events missing`, storm.missing, 0)
}
