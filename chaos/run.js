import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Hub } from 'spillway'
import { openLog } from './broker.js'
import { Client } from './client.js'
import { freePort, RedisServer, Server } from './processes.js'

// Three server processes, one publisher, 300 clients, and everything is killed at random, many times. At the end each
// client has each event exactly once and in order, or was told of a gap first. Ends with 1 when it is not so.

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '4000' },
    clients: { type: 'string', default: '300' },
    interval: { type: 'string', default: '10' },
  },
})
const EVENTS = Number(values.events)
const CHANNELS = ['a', 'b', 'c']
const SERVERS = 3
// How long the clients may take to come to the end, in ms.
const GRACE = 60_000

const broker = new RedisServer(await freePort())
await broker.start()
const servers = await Promise.all(
  Array.from({ length: SERVERS }, async () => new Server(await freePort(), broker.port)),
)
await Promise.all(servers.map((server) => server.start()))

const ports = servers.map(({ port }) => port)
const clients = Array.from({ length: Number(values.clients) }, (_, i) => new Client(channelsOf(i), ports))
await Promise.all(clients.map((client) => client.connected()))

const hub = new Hub({ log: await openLog(broker.port) })
const newest = new Map()
let isOver = false
let cuts = 0
const progress = setInterval(() => {
  const deliveries = clients.reduce((total, client) => total + client.deliveries, 0)
  console.error(
    `${newest.get('a') ?? 0} of ${Math.ceil(EVENTS / CHANNELS.length)} rounds, ${deliveries} deliveries`,
  )
}, 10_000)

// A client that has not seen any event is a new one when it comes back: nothing is owed to it yet.
await publishOnce()
await finish()

const chaos = [killServers(), killBroker(), cutConnections()]
const publishedFor = await publishAll()
isOver = true
clearInterval(progress)
await Promise.all(chaos)
await finish()
const report = account()
for (const client of clients) client.end()
await Promise.all(servers.map((server) => server.kill()))
await hub.shutdown({ graceMs: 0 })
await broker.end()

console.table(report)
const isExact = report.duplicates + report.losses + report.reorderings + report.unfinished === 0
console.log(isExact ? 'Each event exactly once, in order, or a gap told first.' : 'NOT EXACT')
process.exit(isExact ? 0 : 1)

// A third of the clients follows one channel, a third two, a third all.
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

/** An event on each channel. */
async function publishOnce() {
  for (const channel of CHANNELS) {
    const n = (newest.get(channel) ?? 0) + 1
    await publish(channel, n)
    newest.set(channel, n)
  }
}

// What a publisher does that must not lose anything: the same key until it is known to be published.
async function publish(channel, n) {
  const data = { channel, n, text: 'x'.repeat(80) }
  for (;;) {
    try {
      return await hub.channel(channel).publish({ event: 'message', data }, { idempotencyKey: String(n) })
    } catch (error) {
      if (error.code !== 'ERR_SSE_LOG') throw error
    }
  }
}

async function killServers() {
  while (!isOver) {
    await pause(500 + Math.random() * 2_000)
    await servers[Math.floor(Math.random() * SERVERS)].restart(Math.random() * 500)
  }
}

async function killBroker() {
  while (!isOver) {
    await pause(2_000 + Math.random() * 6_000)
    await broker.restart(Math.random() * 1_000)
  }
}

async function cutConnections() {
  while (!isOver) {
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
    'kills of servers': servers.reduce((total, server) => total + server.kills, 0),
    'kills of the broker': broker.kills,
    'cut connections': cuts,
    disconnects: sum('disconnects'),
    gaps: sum('gaps'),
    duplicates: sum('duplicates'),
    losses: sum('losses'),
    reorderings: sum('reorderings'),
    unfinished: clients.filter((client) => !client.has(newest)).length,
  }
}
