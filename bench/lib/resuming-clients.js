// A process of clients that resume at different positions, and of probes with invented ids. It has a low priority,
// because the broker and the live clients share its core.
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from './child.js'
import { totals } from './event-counter.js'
import { probeAll } from './probes.js'
import { FilledLog, ResumingClient } from './resuming-client.js'

const NICE = 10
// The number of connections that are opened at a time. The listen queue of the server is longer.
const CONCURRENCY = 500

setPriority(NICE)
let clients = []
let log

function fill({ ids, channels = 1 }) {
  log = new FilledLog(ids, channels)
}

/**
 * Connects a client for each start, which is the index in the log of its last event. Then sends all requests at once,
 * or evenly over `over` seconds. With slow clients, resolves when all of them have their response headers.
 */
async function storm({ port, starts, channels = 1, isSlow, over = 0 }) {
  const added = starts.map(
    (start) => new ResumingClient({ port, log, start, channel: start % channels, isSlow }),
  )
  for (let i = 0; i < added.length; i += CONCURRENCY)
    await Promise.all(added.slice(i, i + CONCURRENCY).map((client) => client.connect()))
  clients.push(...added)
  const startedAt = performance.now()
  for (let sent = 0; sent < added.length; ) {
    const elapsed = (performance.now() - startedAt) / 1000
    const due = over === 0 ? added.length : Math.min(added.length, (elapsed / over) * added.length)
    for (; sent < due; sent++) added[sent].request()
    if (sent < added.length) await sleep(5)
  }
  if (isSlow) await Promise.all(added.map(({ answered }) => answered))
}

/** Makes the clients expect the events with which the log was filled since. */
function extend() {
  for (const client of clients) client.extend(log)
}

/** Resolves when all clients have received the whole log, or after `timeout` ms. */
async function complete({ timeout }) {
  const deadline = performance.now() + timeout
  while (performance.now() < deadline && !clients.every(({ isComplete }) => isComplete)) await sleep(10)
  return progress()
}

function progress() {
  const count = (is) => clients.filter(is).length
  return {
    complete: count(({ isComplete }) => isComplete),
    answered: count(({ status }) => status === '200'),
    reconnects: clients.reduce((sum, { reconnects }) => sum + reconnects, 0),
    events: totals.events,
    disorder: totals.disorder,
    gaps: totals.gaps,
  }
}

function resume() {
  for (const client of clients) client.resume()
}

function close() {
  for (const client of clients) client.close()
  clients = []
  totals.events = 0
  totals.disorder = 0
  totals.gaps = 0
}

respond({ fill, storm, extend, complete, progress, resume, close, probeAll })
