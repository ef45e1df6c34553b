// The client process. Its raw sockets count events on a separate core, so that reading does not cost the server CPU
// time.
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from './child.js'
import { totals } from './event-counter.js'
import { Http1Client } from './http1-client.js'
import { Http2Session } from './http2-session.js'

// Each client counts the events of one response.
let clients = []
let connections = []

/** Opens `count` clients. With `perSession`, they use HTTP/2, so many on each connection. */
async function open({ port, count, concurrency = 50, perSession, ...options }) {
  if (perSession) return openSessions(count / perSession, { port, streams: perSession, ...options })
  for (let i = 0; i < count; i += concurrency) {
    const size = Math.min(concurrency, count - i)
    const batch = Array.from({ length: size }, () => new Http1Client({ port, ...options }))
    await Promise.all(batch.map((client) => client.opened()))
    connections.push(...batch)
    clients.push(...batch)
  }
}

async function openSessions(count, options) {
  for (let i = 0; i < count; i++) {
    const session = new Http2Session(options)
    await session.opened()
    connections.push(session)
    clients.push(...session.streams)
  }
}

/** Makes every n-th client stop reading. Returns the number of these clients. */
function stall({ every }) {
  const isStalled = (_, i) => i % every === 0
  const stalled = clients.filter(isStalled)
  clients = clients.filter((client, i) => !isStalled(client, i))
  for (const client of stalled) client.stopReading()
  return stalled.length
}

/**
 * Waits until each client has received `events` events. Throws if there are fewer or more, because a figure is only
 * valid if all have arrived. Numbered events must have arrived in order and without a gap, up to `newest`.
 */
async function receive({ events, newest, eachOf = clients.length, timeout = 30_000 }) {
  const expected = events * eachOf
  const deadline = performance.now() + timeout
  while (totals.events < expected && performance.now() < deadline) await sleep(2)
  await sleep(20)
  const uneven = clients.filter((client) => client.events !== events).length
  const behind = newest === undefined ? 0 : clients.filter((client) => client.newest !== newest).length
  if (totals.events === expected && uneven + behind + totals.disorder === 0) return forget()
  throw new Error(
    `${totals.events} of ${expected} events arrived, ${uneven} clients have not ${events} each, ` +
      `${behind} have not the newest, ${totals.disorder} events are out of order.`,
  )
}

function forget() {
  const received = totals.events
  totals.events = 0
  for (const client of clients) client.events = 0
  return received
}

/** Returns the latencies since the last call, in ms. */
function takeLatencies() {
  const sorted = Float64Array.from(totals.latencies).sort()
  totals.latencies = []
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) }
}

let mark

function startMeasuring() {
  mark = { cpu: process.cpuUsage(), time: performance.now() }
}

/** Returns the share of its core that this process has used. Close to 1, the clients limit the figures. */
function busy() {
  const { user, system } = process.cpuUsage(mark.cpu)
  return (user + system) / 1000 / (performance.now() - mark.time)
}

/** Returns how many connections the server has closed. */
function closed() {
  return connections.filter(({ isClosed }) => isClosed).length
}

/** Returns the number of the newest event that all clients have received. */
function newest() {
  return Math.min(...clients.map(({ newest }) => newest))
}

function close() {
  for (const connection of connections) connection.close()
  connections = []
  clients = []
  totals.events = 0
}

respond({ open, stall, receive, takeLatencies, startMeasuring, busy, closed, newest, close })
