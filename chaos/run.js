import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Hub } from 'spillway'
import { freePort } from '../support/broker.js'
import { brokers } from './brokers.js'
import { Client } from './client.js'
import { KINDS, Log } from './log.js'
import { ServerProcess } from './server-process.js'

// Runs three server processes, one publisher and 300 clients, and kills servers, the broker and connections at random. The
// clients start without an id, and half of the connections are cut at a random byte. Some clients have a quiet channel or a
// filter that hides nearly all events. Each client must receive each of its events exactly once and in order. A gap is
// allowed only before an event that the broker had evicted. Otherwise the exit code is 1.
//
// The broker keeps `--window` events. With `--break positions` the hub sends no positions, so that events are lost. With
// `--break refresh` it renews none, so that false gaps are reported. Both MUST end with the exit code 1.

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'redis' },
    events: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '300' },
    interval: { type: 'string', default: '10' },
    window: { type: 'string', default: '1000' },
    break: { type: 'string', default: 'nothing' },
  },
})
const EVENTS = Number(values.events)
const SERVERS = 3
// The time that the clients may take to receive the last event, in ms.
const GRACE = 60_000

const kind = brokers[values.broker]
if (!kind) throw new Error(`--broker must be one of ${Object.keys(brokers).join(', ')}.`)
const broker = await kind.launch()
const environment = {
  BROKER: values.broker,
  BROKER_PORT: String(broker.port),
  WINDOW: values.window,
  BREAK: values.break,
}
const servers = await Promise.all(
  Array.from({ length: SERVERS }, async () => new ServerProcess(await freePort(), environment)),
)
await Promise.all(servers.map((server) => server.start()))

const log = new Log(Number(values.window))
const ports = servers.map(({ port }) => port)
const clients = Array.from(
  { length: Number(values.clients) },
  (_, i) => new Client(log, KINDS[i % KINDS.length], ports),
)
for (const client of clients) client.connect()

const hub = new Hub({ store: await kind.openStore(broker.port, Number(values.window)) })
let isFinished = false
const kills = { servers: 0, broker: 0 }
const progress = setInterval(() => {
  console.error(`${log.started} of ${EVENTS} events, ${sum(({ ledger }) => ledger.deliveries)} deliveries`)
}, 10_000)

const chaos = [killServers(), killBroker(), cutConnections()]
const publishedFor = await publishAll()
isFinished = true
clearInterval(progress)
await Promise.all(chaos)
for (const client of clients) client.calm()
await finish()
for (const client of clients) client.end()
for (const { ledger } of clients) ledger.finish()
const report = account()
await Promise.all(servers.map((server) => server.stop()))
await hub.shutdown({ grace: 0 })
await broker.end()

console.table(report)
const { duplicates, losses, reorderings, unfinished, 'false gaps': falseGaps } = report
const isExact = duplicates + losses + reorderings + unfinished + falseGaps === 0
console.log(isExact ? 'Each event arrived exactly once and in order, or after a gap.' : 'NOT EXACT')
process.exit(isExact ? 0 : 1)

async function publishAll() {
  const startedAt = Date.now()
  for (let i = 0; i < EVENTS; i++) {
    await publish(log.begin())
    await pause(Number(values.interval))
  }
  return Date.now() - startedAt
}

// Publishes until the store has confirmed the event. The same key is used each time, so that it is stored only once.
async function publish({ n, channel }) {
  const data = { n, text: 'x'.repeat(80) }
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

async function finish() {
  const deadline = Date.now() + GRACE
  while (Date.now() < deadline && !clients.every(({ ledger }) => ledger.isComplete)) await pause(100)
}

/** @param {(client: Client) => number} count */
function sum(count) {
  return clients.reduce((total, client) => total + count(client), 0)
}

function account() {
  return {
    publishes: log.started,
    seconds: Math.round(publishedFor / 1000),
    deliveries: sum(({ ledger }) => ledger.deliveries),
    'kills of servers': kills.servers,
    'kills of the broker': kills.broker,
    'cut connections': sum(({ cuts }) => cuts),
    disconnects: sum(({ disconnects }) => disconnects),
    gaps: sum(({ ledger }) => ledger.gaps),
    'false gaps': sum(({ ledger }) => ledger.falseGaps),
    duplicates: sum(({ ledger }) => ledger.duplicates),
    losses: sum(({ ledger }) => ledger.losses),
    reorderings: sum(({ ledger }) => ledger.reorderings),
    unfinished: sum(({ ledger }) => (ledger.isComplete ? 0 : 1)),
  }
}
