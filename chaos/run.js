import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Hub } from 'spillway'
import { freePort } from '../support/broker.js'
import { brokers } from './brokers.js'
import { Client } from './client.js'
import { ServerProcess } from './server-process.js'

// Runs three server processes, one publisher and 300 clients, and kills servers, the broker and connections at random.
// Each client must receive each event exactly once and in order, or a gap before a missing event. Otherwise the exit
// code is 1.

const { values } = parseArgs({
  options: {
    broker: { type: 'string', default: 'redis' },
    events: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '300' },
    interval: { type: 'string', default: '10' },
  },
})
const EVENTS = Number(values.events)
const CHANNELS = ['a', 'b', 'c']
const SERVERS = 3
// The time that the clients may take to receive the last event, in ms.
const GRACE = 60_000

const kind = brokers[values.broker]
if (!kind) throw new Error(`--broker must be one of ${Object.keys(brokers).join(', ')}.`)
const broker = await kind.launch()
const servers = await Promise.all(
  Array.from(
    { length: SERVERS },
    async () => new ServerProcess(await freePort(), values.broker, broker.port),
  ),
)
await Promise.all(servers.map((server) => server.start()))

const ports = servers.map(({ port }) => port)
const clients = Array.from({ length: Number(values.clients) }, (_, i) => new Client(channelsOf(i), ports))
await Promise.all(clients.map((client) => client.connected()))

const hub = new Hub({ store: await kind.openStore(broker.port) })
const newest = new Map()
let isFinished = false
const kills = { servers: 0, broker: 0 }
let cuts = 0
const progress = setInterval(() => {
  const deliveries = clients.reduce((total, client) => total + client.deliveries, 0)
  console.error(
    `${newest.get('a') ?? 0} of ${Math.ceil(EVENTS / CHANNELS.length)} rounds, ${deliveries} deliveries`,
  )
}, 10_000)

// Gives each client a first event. A client without a last event id would reconnect as a new client, without the events
// that it missed.
await publishOnce()
await finish()

const chaos = [killServers(), killBroker(), cutConnections()]
const publishedFor = await publishAll()
isFinished = true
clearInterval(progress)
await Promise.all(chaos)
await finish()
const report = account()
for (const client of clients) client.end()
await Promise.all(servers.map((server) => server.stop()))
await hub.shutdown({ grace: 0 })
await broker.end()

console.table(report)
const isExact = report.duplicates + report.losses + report.reorderings + report.unfinished === 0
console.log(isExact ? 'Each event arrived exactly once and in order, or after a gap.' : 'NOT EXACT')
process.exit(isExact ? 0 : 1)

// Subscribes a third of the clients to one channel, a third to two, and a third to all.
function channelsOf(i) {
  return CHANNELS.slice(0, 1 + (i % CHANNELS.length))
}

async function publishAll() {
  const startedAt = Date.now()
  for (let i = 0; i < EVENTS; i += CHANNELS.length) {
    await publishOnce()
    await pause(Number(values.interval) * CHANNELS.length)
  }
  return Date.now() - startedAt
}

/** Publishes an event on each channel. */
async function publishOnce() {
  for (const channel of CHANNELS) {
    const n = (newest.get(channel) ?? 0) + 1
    await publish(channel, n)
    newest.set(channel, n)
  }
}

// Publishes until the store has confirmed the event. The same key is used each time, so that it is stored only once.
async function publish(channel, n) {
  const data = { channel, n, text: 'x'.repeat(80) }
  for (;;) {
    try {
      return await hub.channel(channel).publish({ event: 'message', data }, { idempotencyKey: String(n) })
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
    cuts += 1
  }
}

async function finish() {
  const deadline = Date.now() + GRACE
  while (Date.now() < deadline && !clients.every((client) => client.has(newest))) await pause(100)
}

function account() {
  const sum = (name) => clients.reduce((total, client) => total + client[name], 0)
  return {
    publishes: [...newest.values()].reduce((total, n) => total + n, 0),
    seconds: Math.round(publishedFor / 1000),
    deliveries: sum('deliveries'),
    'kills of servers': kills.servers,
    'kills of the broker': kills.broker,
    'cut connections': cuts,
    disconnects: sum('disconnects'),
    gaps: sum('gaps'),
    duplicates: sum('duplicates'),
    losses: sum('losses'),
    reorderings: sum('reorderings'),
    unfinished: clients.filter((client) => !client.has(newest)).length,
  }
}
