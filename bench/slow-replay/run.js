import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startResumingClients, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE } from '../lib/child.js'
import { cpuOf, launchBroker } from '../lib/measured-broker.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Clients reconnect at positions of their own and stop reading at the response headers. The memory of the server is
// compared with the sum of its bounds.

const MB = 1024 * 1024
const KB = 1024
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: { type: 'string', default: '1000' },
    // The option of the streams, in bytes.
    buffered: { type: 'string', default: String(64 * KB) },
    // What the store may hold for all replays together, in MB.
    budget: { type: 'string', default: '32' },
    // No more clients connect once the server needs more, in MB.
    limit: { type: 'string', default: '2048' },
    // No more clients connect to a server after this time.
    seconds: { type: 'string', default: '300' },
  },
})
const CLIENTS = Number(values.clients)
const BUFFERED = Number(values.buffered)
const BUDGET = Number(values.budget) * MB
const LIMIT = Number(values.limit) * MB
const SECONDS = Number(values.seconds)
const BATCH = 50
// The server is idle if it used less CPU in this time, in ms and as a share.
const LOOK = 200
const IDLE = 0.1
const PATIENCE = 180_000

// The kernel buffers up to about 4 MB for each client, so that a replay is longer.
const SIZES = {
  small: { size: 1_000, count: 20_000 },
  large: { size: 50_000, count: 500 },
}
const STORES = {
  Redis: { recentEvents: 20 },
  JetStream: { recentEvents: 20 },
  memory: { maxBytes: 32 * MB, maxEvents: 30_000 },
}
const MODULE = new URL('../lib/serve-replays.js', import.meta.url)
const names = positionals.length > 0 ? positionals : Object.keys(STORES)

buildSpillway()
printSetting(`slow-replay: ${CLIENTS} clients stop reading in a replay`)
const rows = []
const targets = []
for (const name of names) for (const sort of Object.keys(SIZES)) await measure(name, sort)
printTable(
  [
    '',
    'clients',
    'heap + external MB',
    'RSS MB',
    'more MB',
    'KB each',
    'bound, KB each',
    'bufferedBytes, KB each',
    'more / bounds and budget',
    'most reads waiting, running, MB',
  ],
  rows,
)
for (const [text, value, limit] of targets) printTarget(text, value, limit)

async function measure(name, sort) {
  const { size, count } = SIZES[sort]
  const setup = await start(name, size, count)
  const { server, clients } = setup
  const before = await server.ask('memory')
  let opened = 0
  let ended
  try {
    // Evicts what the clients of a store in memory are reading.
    const evict = async () => {
      await settle(server)
      await clients.ask('fill', { ids: await server.run('fill', { count, size }) })
    }
    opened = await open(setup, count, name === 'memory' ? evict : async () => {})
    await settle(server)
    await report(await server.ask('memory'), await server.run('report'))
  } catch (error) {
    ended = error.message.split('\n')[0]
    const row = [`${name}, ${sort}`, ended]
    rows.push([...row, ...Array.from({ length: 8 }, () => '')])
    targets.push([`${name}, ${sort} events: the server ended`, 1, 0])
  }
  await Promise.all([server.stop(), clients.stop(), setup.broker?.end()])

  async function report(after, { buffered, reads }) {
    const [more, rss] = [after.heap + after.external - before.heap - before.external, after.rss - before.rss]
    const bound = opened * (BUFFERED + size) + BUDGET
    rows.push([
      `${name}, ${sort}`,
      opened,
      ((after.heap + after.external) / MB).toFixed(0),
      (after.rss / MB).toFixed(0),
      `${(more / MB).toFixed(0)} (RSS ${(rss / MB).toFixed(0)})`,
      ...[more / opened / KB, (BUFFERED + size) / KB, buffered / opened / KB].map(fixed(0)),
      (more / bound).toFixed(2),
      reads ? `${reads.waiting}, ${reads.running}, ${(reads.bytes / MB).toFixed(1)}` : '',
    ])
    targets.push([`${name}, ${sort} events: memory / bounds and budget`, more / bound, 1])
    targets.push([`${name}, ${sort} events: clients that were not opened`, CLIENTS - opened, 0])
  }
}

async function start(name, size, count) {
  const broker = name === 'memory' ? undefined : await launchBroker(name)
  const stream = { stallTimeout: 0, maxBufferedBytes: BUFFERED }
  const options = { url: broker?.url, store: STORES[name], stream }
  const nodeFlags = ['--expose-gc']
  // A store in memory is filled by its own process.
  const publisher = broker && (await startServer(MODULE, name, { options, core: CLIENT_CORE }))
  const ids = await publisher?.run('fill', { count, size })
  await publisher?.stop()
  const server = await startServer(MODULE, name, { options, nodeFlags })
  const all = ids ?? (await server.run('fill', { count, size }))
  const clients = await startResumingClients()
  await clients.ask('fill', { ids: all })
  return { broker, server, clients }
}

/**
 * Opens clients at different positions in the first quarter of the log, as long as the server stays under the limits.
 * The next ones connect when all of a batch have their response headers.
 */
async function open({ server, clients }, count, then) {
  const deadline = performance.now() + SECONDS * 1000
  for (let opened = 0; opened < CLIENTS; opened += BATCH) {
    const size = Math.min(BATCH, CLIENTS - opened)
    const starts = Array.from({ length: size }, (_, i) => Math.floor(((opened + i) * count) / 4 / CLIENTS))
    await clients.ask('storm', { port: server.port, starts, isSlow: true })
    await then()
    if ((await server.ask('rss')) > LIMIT || performance.now() > deadline) return opened + size
  }
  return CLIENTS
}

/** Resolves when the server is idle, because its clients have no more room. */
async function settle({ child }) {
  const deadline = performance.now() + PATIENCE
  for (let last = cpuOf(child.pid); performance.now() < deadline; ) {
    await sleep(LOOK)
    const now = cpuOf(child.pid)
    if (now - last < IDLE * LOOK * 1000) return
    last = now
  }
}
