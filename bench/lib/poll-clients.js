// A process of clients that poll, on a separate core.
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from './child.js'
import { PollClient, totals } from './poll-client.js'

const AT_ONCE = 100

let clients = []

/** Opens `count` clients. Those with an interval poll at evenly distributed times. */
async function open({ count, ...options }) {
  while (clients.length < count) {
    const size = Math.min(AT_ONCE, count - clients.length)
    const delayOf = (i) => ((options.interval ?? 0) * (clients.length + i)) / count
    const batch = Array.from({ length: size }, (_, i) => new PollClient({ ...options, delay: delayOf(i) }))
    await Promise.all(batch.map((client) => client.opened()))
    clients.push(...batch)
  }
}

/** Resolves when each client has received the event with this number. */
async function receive({ newest, timeout = 30_000 }) {
  const deadline = performance.now() + timeout
  const behind = () => clients.filter((client) => client.newest !== newest).length
  while (behind() > 0 && performance.now() < deadline) await sleep(5)
  if (behind() > 0) throw new Error(`${behind()} clients have not received event ${newest}.`)
}

/** Returns the sums since the last call. */
function take() {
  if (clients.some(({ isClosed }) => isClosed)) throw new Error('The server has closed a connection.')
  const taken = { ...totals }
  Object.assign(totals, { responses: 0, events: 0, bytes: 0, arrivals: [] })
  return taken
}

function close() {
  for (const client of clients) client.close()
  clients = []
}

respond({ open, receive, take, close })
