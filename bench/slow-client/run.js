import { interleave, medians, startClients, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { printSetting, printTable, printTarget } from '../lib/report.js'

const MB = 1024 * 1024
const CLIENTS = 1_000
const EVERY = 10
const SIZE = 32 * 1024
const INTERVAL = 100
// The megabytes for each client. They exceed the sum of the queue limit and the about 4 MB that the kernel buffers.
const MEGABYTES = Number(process.env.MEGABYTES ?? 7)
const ROUNDS = Number(process.env.ROUNDS ?? 1)
const COUNT = Math.round((MEGABYTES * MB) / SIZE)

const BOUND = MB
const STALLED = CLIENTS / EVERY
// All queues are full, and Node buffers one more write for each.
const LIMIT = Math.round((STALLED * (BOUND + SIZE)) / MB)

const closing = { maxBufferedBytes: BOUND, overflow: 'close' }
const stalling = { maxBufferedBytes: BOUND, overflow: 'drop-oldest', stallTimeout: 2_000 }
const RUNS = [
  { label: 'spillway', name: 'spillway', options: closing },
  { label: "spillway, overflow 'close'", name: 'spillway', options: closing, isStalling: true },
  { label: 'spillway, stallTimeout 2 s', name: 'spillway', options: stalling, isStalling: true },
  { label: 'better-sse', name: 'better-sse', options: { isText: true } },
  { label: 'better-sse', name: 'better-sse', options: { isText: true }, isStalling: true },
]

const HEADER = [
  '',
  'not reading',
  'p50 ms',
  'p99 ms',
  'p50 / all read',
  'peak RSS MB',
  'more MB',
  'ended',
  'CPU µs / event',
]

buildSpillway()
printSetting(`slow-client: ${CLIENTS} clients are sent ${MEGABYTES} MB each, 1 in ${EVERY} does not read`)
const measured = await interleave(RUNS, ROUNDS, measure)
const of = (run) => medians(measured.get(run))
// The same contender when all clients read.
const alone = (run) => of(RUNS.find(({ name, isStalling }) => name === run.name && !isStalling))
const rows = RUNS.map((run) => {
  const { p50, p99, peak, ended, cpu } = of(run)
  const more = run.isStalling ? (peak - alone(run).peak).toFixed(0) : ''
  const latencies = [p50.toFixed(0), p99.toFixed(0), (p50 / alone(run).p50).toFixed(2)]
  const [stalled, end] = [run.isStalling ? STALLED : 0, run.isStalling ? ended : '']
  return [run.label, stalled, ...latencies, peak.toFixed(0), more, end, (cpu / CLIENTS / COUNT).toFixed(1)]
})
printTable(HEADER, rows)
for (const run of RUNS.filter(({ name, isStalling }) => name === 'spillway' && isStalling)) {
  printTarget(`${run.label}: peak RSS over all reading`, of(run).peak - alone(run).peak, LIMIT, ' MB')
  printTarget(`${run.label}: p50 / all reading`, of(run).p50 / alone(run).p50, 1.1)
  printTarget(`${run.label}: p99 / all reading`, of(run).p99 / alone(run).p99, 1.1)
}

async function measure({ name, options, isStalling }) {
  const server = await startServer(new URL('./server.js', import.meta.url), name, { options })
  const clients = await startClients()
  await clients.ask('open', { port: server.port, count: CLIENTS, isTimed: true })
  await server.hasStreams(CLIENTS)
  if (isStalling) await clients.ask('stall', { every: EVERY })
  const { cpu } = await server.measure(async () => {
    await server.run('publish', { count: COUNT, size: SIZE, interval: INTERVAL })
    await clients.ask('receive', { events: COUNT })
  })
  const { count, p50, p99 } = await clients.ask('takeLatencies')
  const readers = isStalling ? CLIENTS - STALLED : CLIENTS
  if (count !== COUNT * readers) throw new Error(`${count} latencies of ${COUNT * readers} events.`)
  const peak = (await server.ask('peakRss')) / MB
  const ended = CLIENTS - (await server.ask('streams'))
  await Promise.all([server.stop(), clients.stop()])
  return { p50, p99, peak, ended, cpu }
}
