import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Hub } from 'spillway'
import { freePort } from '../support/broker.js'
import { brokers } from './brokers.js'
import { Client } from './client.js'
import { KINDS, LARGE_KIND, Log } from './log.js'
import { MemoryWatch } from './memory-watch.js'
import { Prober } from './prober.js'
import { Rereader } from './rereader.js'
import { ServerProcess } from './server-process.js'

// Runs three server processes, one publisher and 300 clients, and kills servers, the broker and connections at random.
// The clients start without an id, and half of the connections are cut at a random byte. Some clients have a quiet
// channel or a filter that hides nearly all events. Each client MUST receive each of its events exactly once and in
// order. A gap is allowed only before an event that the broker had evicted. Otherwise the exit code is 1.
//
// One event in ten has 50 to 400 kB. Storms of disconnected clients reconnect at once, each at a position of its own.
// Other clients resume at any position of the window, and do not read for a while. Each request with an invented id
// MUST get a gap. The memory of each server MUST stay within `--memory` MB.
//
// The broker keeps `--window` events. With `--break positions` the hub sends no positions, so that events are lost.
// With `--break refresh` it renews none, so that false gaps are reported. Both MUST end with the exit code 1.

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'redis' },
    events: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '300' },
    interval: { type: 'string', default: '10' },
    window: { type: 'string', default: '1000' },
    rereaders: { type: 'string', default: '20' },
    // The time limit for all events, in seconds.
    limit: { type: 'string', default: '900' },
    // Requests with invented ids per second.
    probes: { type: 'string', default: '20' },
    // The bound of a server in MB. Default: see `boundOf`.
    memory: { type: 'string' },
    break: { type: 'string', default: 'nothing' },
  },
})
const EVENTS = Number(values.events)
const WINDOW = Number(values.window)
const SERVERS = 3
const MB = 1024 * 1024
// The limit of the queue of a client. It is larger than any event.
const MAX_BUFFERED = 512 * 1024
// One client in this many is sent large events.
const LARGE_CLIENTS = 12
// The largest number of faults that are printed.
const MAX_FAULTS = 20
// The share of the window in which the clients of a storm disconnect, and then stay away.
const STORM_SHARE = 0.1
// The time that the clients may take to receive the last event, in ms.
const GRACE = 60_000

const kind = brokers[values.broker]
if (!kind) throw new Error(`--broker must be one of ${Object.keys(brokers).join(', ')}.`)
const broker = await kind.launch()
const environment = {
  BROKER: values.broker,
  BROKER_PORT: String(broker.port),
  WINDOW: values.window,
  MAX_BUFFERED: String(MAX_BUFFERED),
  BREAK: values.break,
}
const servers = await Promise.all(
  Array.from({ length: SERVERS }, async () => new ServerProcess(await freePort(), environment)),
)
await Promise.all(servers.map((server) => server.start()))

const log = new Log(WINDOW)
const memory = new MemoryWatch(servers)
const ports = servers.map(({ port }) => port)
const clients = Array.from(
  { length: Number(values.clients) },
  (_, i) => new Client(log, i % LARGE_CLIENTS ? KINDS[i % KINDS.length] : LARGE_KIND, ports),
)
for (const client of clients) client.connect()
const rereaders = Array.from({ length: Number(values.rereaders) }, () => new Rereader(log, ports))
const prober = new Prober(ports, inventId)

const hub = new Hub({ store: await kind.openStore(broker.port, { maxEvents: WINDOW }) })
let isFinished = false
const kills = { servers: 0, broker: 0 }
let storms = 0
const progress = setInterval(() => {
  console.error(`${log.started} of ${EVENTS} events, ${sum(({ ledger }) => ledger.deliveries)} deliveries`)
}, 10_000)

const chaos = [killServers(), killBroker(), cutConnections(), raiseStorms(), probe()]
const rereading = rereaders.map((rereader) => rereader.run())
const publishedFor = await publishAll()
isFinished = true
clearInterval(progress)
await Promise.all(chaos)
for (const rereader of rereaders) rereader.finish()
await Promise.all(rereading)
for (const client of all()) client.calm()
await finish()
for (const { ledger } of reading()) if (!ledger.isComplete) console.error(`Unfinished: ${ledger.describe()}`)
for (const client of all()) client.end()
for (const { ledger } of all()) ledger.finish()
for (const fault of all()
  .flatMap(({ ledger }) => ledger.faults)
  .slice(0, MAX_FAULTS))
  console.error(fault)
memory.stop()
const report = account()
await Promise.all(servers.map((server) => server.stop()))
await hub.shutdown({ grace: 0 })
await broker.end()

console.table(report)
const faults = [
  'false gaps',
  'duplicates',
  'losses',
  'reorderings',
  'damages',
  'unfinished',
  'ids without a gap',
  'crashes',
  'unpublished',
]
const isExact = faults.every((fault) => report[fault] === 0)
console.log(isExact ? 'Each event arrived exactly once and in order, or after a gap.' : 'NOT EXACT')
const bound = boundOf(clients.length + rereaders.length)
const isBounded = memory.peaks.every((peak) => peak <= bound)
console.log(
  `Peak memory of the servers: ${memory.peaks.join(', ')} MB, at most ${bound} MB${isBounded ? '' : ': EXCEEDED'}`,
)
process.exit(isExact && isBounded ? 0 : 1)

async function publishAll() {
  const startedAt = Date.now()
  while (log.started < EVENTS && Date.now() - startedAt < Number(values.limit) * 1000) {
    await publish(log.begin())
    await pause(Number(values.interval))
  }
  return Date.now() - startedAt
}

// Publishes until the store has confirmed the event. The same key is used each time, so that it is stored only once.
async function publish({ n, channel }) {
  const data = { n, text: 'x'.repeat(log.sizeOf(n)) }
  for (;;) {
    try {
      log.confirm(n, await hub.channel(channel).publish({ data }, { idempotencyKey: String(n) }))
      return
    } catch (error) {
      if (error.code !== 'ERR_SSE_STORE') throw error
    }
  }
}

async function killServers() {
  while (!isFinished) {
    await pause(500 + Math.random() * 2_000)
    await restart(servers[Math.floor(Math.random() * SERVERS)], Math.random() * 500)
    kills.servers += 1
  }
}

async function killBroker() {
  while (!isFinished) {
    await pause(2_000 + Math.random() * 6_000)
    await restart(broker, Math.random() * 1_000)
    kills.broker += 1
  }
}

async function restart(target, downtime) {
  await target.stop()
  await pause(downtime)
  await target.start()
}

async function cutConnections() {
  while (!isFinished) {
    await pause(Math.random() * 100)
    clients[Math.floor(Math.random() * clients.length)].cut()
  }
}

/** Disconnects clients at different positions, and then reconnects them at once. */
async function raiseStorms() {
  while (!isFinished) {
    await pause(1_000 + Math.random() * 3_000)
    const crowd = clients.filter(({ canLeave }) => canLeave && Math.random() < 0.7)
    const first = log.started
    for (const [i, client] of crowd.entries()) {
      await reached(first + (STORM_SHARE * WINDOW * i) / crowd.length)
      client.leave()
    }
    await reached(log.started + STORM_SHARE * WINDOW)
    for (const client of crowd) client.rejoin()
    storms += 1
  }
}

async function reached(n) {
  while (!isFinished && log.started < n) await pause(10)
}

async function probe() {
  while (!isFinished) {
    prober.send()
    await pause(1_000 / Number(values.probes))
  }
}

function inventId() {
  const known = Math.ceil(Math.random() * log.started)
  return kind.inventId(log.idOf(known) ?? '1-1')
}

/**
 * Returns the bound of a server in MB. It covers Node with its garbage, the newest events, the reads of the store, and
 * the queues of all clients.
 */
function boundOf(count) {
  if (values.memory) return Number(values.memory)
  const [node, store] = [200, 48]
  return node + store + Math.ceil((count * MAX_BUFFERED) / MB)
}

/** Returns the clients that must receive all events. */
function reading() {
  return [...clients, ...rereaders.flatMap(({ current }) => current ?? [])]
}

/** Returns all clients, and those of the rereaders. */
function all() {
  return [...clients, ...rereaders.flatMap((rereader) => rereader.clients)]
}

async function finish() {
  const deadline = Date.now() + GRACE
  while (Date.now() < deadline && !reading().every(({ ledger }) => ledger.isComplete)) await pause(100)
}

/** @param {(client: Client) => number} count */
function sum(count) {
  return all().reduce((total, client) => total + count(client), 0)
}

function account() {
  return {
    publishes: log.started,
    unpublished: EVENTS - log.started,
    seconds: Math.round(publishedFor / 1000),
    deliveries: sum(({ ledger }) => ledger.deliveries),
    'kills of servers': kills.servers,
    'kills of the broker': kills.broker,
    storms,
    'replays read late': sum(({ pauses }) => pauses),
    'invented ids': prober.counts.sent,
    '… answered by a gap': prober.counts.gaps,
    'ids without a gap': prober.counts.wrong,
    crashes: servers.reduce((total, { crashes }) => total + crashes, 0),
    'cut connections': sum(({ cuts }) => cuts),
    disconnects: sum(({ disconnects }) => disconnects),
    gaps: sum(({ ledger }) => ledger.gaps),
    'false gaps': sum(({ ledger }) => ledger.falseGaps),
    duplicates: sum(({ ledger }) => ledger.duplicates),
    losses: sum(({ ledger }) => ledger.losses),
    reorderings: sum(({ ledger }) => ledger.reorderings),
    damages: sum(({ ledger }) => ledger.damages),
    unfinished: reading().filter(({ ledger }) => !ledger.isComplete).length,
  }
}
