import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from './child.js'

/** The contender that the parent has selected. */
export const contender = process.argv[2]
const options = JSON.parse(process.argv[3] ?? '{}')

/**
 * Called in the server process. Serves the contender with its module in `contenders/`, or with `createServer`. Each
 * function of `phases` is called with the open streams and the argument of the parent.
 */
export async function serve(phases = {}, createServer = undefined) {
  createServer ??= (await import(new URL(`../contenders/${contender}.js`, import.meta.url))).createServer
  const streams = new Set()
  const reasons = {}
  const server = createServer((stream) => {
    streams.add(stream)
    return (reason = 'client') => {
      streams.delete(stream)
      reasons[reason] = (reasons[reason] ?? 0) + 1
    }
  }, options)
  // Thousands of clients connect at the same time.
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')

  let mark
  respond({
    port: () => server.address().port,
    streams: () => streams.size,
    reasons: () => reasons,
    memory,
    rss: () => process.memoryUsage.rss(),
    peakRss,
    startMeasuring() {
      mark = process.cpuUsage()
    },
    measured() {
      const { user, system } = process.cpuUsage(mark)
      return { cpu: user + system, user }
    },
    phase: ({ name, ...argument }) => phases[name](streams, argument),
  })
}

/** Returns the memory in use after garbage collection. Needs `--expose-gc`. */
async function memory() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await sleep(50)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, external, rss }
}

/** Returns the peak resident memory in bytes, as the kernel reports it. */
function peakRss() {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024
}
