import { once } from 'node:events'
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createSseStream, gracefulShutdown, Hub } from 'spillway'
import { respond } from '../lib/child.js'

const options = JSON.parse(process.argv[2])
const hub = new Hub()
const news = hub.channel('news')
const server = createServer((request, response) => news.subscribe(createSseStream(request, response)))
const shutdown = gracefulShutdown({ server, hub, signals: [], ...options })
server.listen(0, '127.0.0.1', 16_384)
await once(server, 'listening')

/** Returns the longest blocks of the event loop in ms while a promise is pending: by the clock, and as CPU time. */
async function longestBlock(pending) {
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  let [cpu, before, isPending] = [0, process.cpuUsage(), true]
  const onTurn = () => {
    const { user, system } = process.cpuUsage(before)
    cpu = Math.max(cpu, (user + system) / 1000)
    before = process.cpuUsage()
    if (isPending) setImmediate(onTurn)
  }
  setImmediate(onTurn)
  await pending
  isPending = false
  delays.disable()
  return { block: delays.max / 1e6, cpu }
}

/** Returns the longest blocks while nothing happens, which are those of other processes. */
function idle() {
  return longestBlock(new Promise((resolve) => setTimeout(resolve, 3_000)))
}

/** Shuts the server down. Returns how long that took in ms, and the longest blocks of the event loop. */
async function shutDown() {
  const startedAt = performance.now()
  const block = await longestBlock(shutdown.start())
  return { time: performance.now() - startedAt, ...block }
}

respond({ port: () => server.address().port, streams: () => hub.size, idle, shutDown })
