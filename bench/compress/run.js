import { FRESH_PROCESSES, gather, interleave, medians, ratio, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, start } from '../lib/child.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// The contender, and the encoding that its clients accept.
const CONTENDERS = {
  plain: undefined,
  'spillway gzip': 'gzip',
  'spillway br': 'br',
  'middleware gzip': 'gzip',
}
if (process.getBuiltinModule('node:zlib').createZstdCompress) CONTENDERS['spillway zstd'] = 'zstd'
const NAMES = Object.keys(CONTENDERS)
const PHASES = [
  { phase: 'publish', title: 'the same event for all clients', clients: 200, count: 20, interval: 50 },
  { phase: 'sendOwn', title: 'an event of its own for each client', clients: 200, count: 20, interval: 50 },
]
const ROUNDS = 4
const MEMORY_STREAMS = 1_000
const MEMORY_EVENTS = 40

const part = process.argv[2]

buildSpillway()
printSetting("compress: the server's CPU time and the bytes of the body for each event that a client is sent")
if (part !== 'memory') for (const phase of PHASES) await compareCpu(phase)
if (part !== 'cpu') await compareMemory()

async function compareCpu({ phase, title, clients: count, ...sending }) {
  const measured = new Map()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const crowds = {}
    for (const name of NAMES) crowds[name] = await openCrowd(name, count)
    const measure = (name) => measureCrowd(crowds[name], phase, count, sending)
    await interleave(NAMES, 1, measure)
    gather(measured, await interleave(NAMES, ROUNDS, measure))
    for (const crowd of Object.values(crowds)) await stop(crowd)
  }
  console.log(`${count} clients, ${title}, every ${sending.interval} ms:\n`)
  const ratioTo = (name, other) => ratio(measured.get(name), measured.get(other), 'cpu')
  const rows = NAMES.map((name) => {
    const { cpu, user, bytes } = medians(measured.get(name))
    const factor = medians(measured.get('plain')).bytes / bytes
    return [
      name,
      ...[cpu, user, bytes, factor, ratioTo(name, 'plain'), ratioTo(name, 'middleware gzip')].map(fixed(2)),
    ]
  })
  printTable(['', 'CPU µs', 'user µs', 'bytes', 'plain / bytes', 'CPU / plain', 'CPU / middleware'], rows)
  printTarget('CPU of gzip / middleware', ratioTo('spillway gzip', 'middleware gzip'), 1)
  console.log()
}

async function compareMemory() {
  const rows = []
  let plain
  for (const name of NAMES) {
    const figures = []
    for (const phase of ['publish', 'sendOwn']) figures.push(await memoryOf(name, phase))
    plain ??= figures
    rows.push([
      name,
      ...figures.flatMap((each, i) => [each.rss - plain[i].rss, each.js - plain[i].js].map(fixed(1))),
    ])
  }
  console.log(
    `${MEMORY_STREAMS} streams that were sent ${MEMORY_EVENTS} events each, kB per stream more than plain:\n`,
  )
  printTable(['', 'same events: RSS', 'heap + external', 'own events: RSS', 'heap + external'], rows)
}

/** Returns the memory of one stream in kB. */
async function memoryOf(name, phase) {
  const crowd = await openCrowd(name, 50, { nodeFlags: ['--expose-gc'] })
  await measureCrowd(crowd, phase, 50, { count: 20, interval: 5 })
  await crowd.clients.ask('close')
  await crowd.server.hasStreams(0)
  const before = await crowd.server.ask('memory')
  await crowd.clients.ask('open', {
    port: crowd.server.port,
    count: MEMORY_STREAMS,
    encoding: CONTENDERS[name],
  })
  await measureCrowd(crowd, phase, MEMORY_STREAMS, { count: MEMORY_EVENTS, interval: 50 })
  const after = await crowd.server.ask('memory')
  await stop(crowd)
  const perStream = (figure) => (after[figure] - before[figure]) / MEMORY_STREAMS / 1000
  return { rss: perStream('rss'), js: perStream('heap') + perStream('external') }
}

async function openCrowd(name, count, options) {
  const server = await startServer(new URL('./server.js', import.meta.url), name, options)
  const clients = start(new URL('./clients.js', import.meta.url), { core: CLIENT_CORE })
  await clients.ask('open', { port: server.port, count, encoding: CONTENDERS[name] })
  await server.hasStreams(count)
  return { server, clients }
}

async function measureCrowd({ server, clients }, phase, count, sending) {
  let bytes = 0
  const { cpu, user } = await server.measure(async () => {
    await server.run(phase, sending)
    bytes = await clients.ask('receive', { events: sending.count })
  })
  const deliveries = count * sending.count
  return { cpu: cpu / deliveries, user: user / deliveries, bytes: bytes / deliveries }
}

async function stop({ server, clients }) {
  await Promise.all([server.stop(), clients.stop()])
}
