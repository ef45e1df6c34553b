import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'

/** The contender that the parent has named, and its options. */
export const contender = process.argv[2]
const options = JSON.parse(process.argv[3] ?? '{}')

/**
 * In the server process: serves the contender, from its file unless the benchmark has its own. `phases` are what the
 * benchmark wants done with the streams that are open; each is called with them and with what the parent gave.
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
  // Thousands of clients connect at once.
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
  await once(server, 'listening')

  let mark
  answer({
    port: () => server.address().port,
    streams: () => streams.size,
    reasons: () => reasons,
    memory,
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

/** What is in use when everything that can go has gone. Needs `--expose-gc`. */
async function memory() {
  for (let i = 0; i < 4; i++) {
    globalThis.gc()
    await sleep(50)
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed, external, rss }
}

/** The most that was ever resident, in bytes, as the kernel has seen it. */
function peakRss() {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024
}
