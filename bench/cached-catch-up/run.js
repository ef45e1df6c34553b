import { parseArgs } from 'node:util'
import { PollCrowd } from '../../support/poll-crowd.js'
import { launchNginx, launchVarnish } from '../../support/proxies.js'
import { buildSpillway } from '../lib/build.js'
import { SERVER_CORE, start } from '../lib/child.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// Clients that have missed the same events reconnect at once with a long poll, directly and through a cache.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { clients: { type: 'string', default: '10000' } },
})
const clients = Number(values.clients)
const PAGES = 4
const PAGE_SIZE = 100
const SIZE = 200

const FRONTS = {
  'no proxy': async (port) => ({ port, end() {} }),
  nginx: (port) =>
    launchNginx(port, {
      http: 'proxy_cache_path FOLDER/cache keys_zone=pages:4m;',
      location:
        'proxy_cache pages; proxy_cache_lock on; proxy_cache_lock_timeout 60s; proxy_cache_lock_age 60s; ' +
        'proxy_cache_min_uses 0;',
    }),
  varnish: (port) => launchVarnish(port),
}

buildSpillway()
printSetting(`cached-catch-up: ${clients} clients request ${PAGES} pages of ${PAGE_SIZE} events at once`)
const rows = []
let most = 0
for (const [name, launch] of Object.entries(FRONTS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const { pages, ...figures } = await measure(launch)
  const requests = pages.reduce((sum, count) => sum + count, 0)
  if (name !== 'no proxy') most = Math.max(most, ...pages)
  const { cpu, time, read, sent } = figures
  rows.push([name, requests, Math.max(...pages), ...[cpu, time, read].map(fixed(0)), sent.toFixed(3)])
}
printTable(
  ['', 'requests', 'most for a page', 'server CPU ms', 'all clients, ms', 'MB read', 'MB of the server'],
  rows,
)
printTarget('requests for one page behind a cache', most, 1)

async function measure(launch) {
  const server = start(new URL('./server.js', import.meta.url), {
    core: SERVER_CORE,
    args: [String(PAGE_SIZE)],
  })
  const port = await server.ask('port')
  const { cursor, last } = await server.ask('publish', { count: PAGES * PAGE_SIZE, size: SIZE })
  const front = await launch(port)
  const crowd = new PollCrowd()
  await crowd.open(front.port, clients)
  await server.ask('startMeasuring')
  const startedAt = performance.now()
  const { events, bytes } = await crowd.catchUp('/', cursor, last)
  const time = performance.now() - startedAt
  const { cpu, sent, pages } = await server.ask('measured')
  crowd.close()
  await front.end()
  await server.stop()
  if (events.some((count) => count !== PAGES * PAGE_SIZE)) throw new Error('A client missed an event.')
  return { pages, cpu: cpu / 1000, time, read: bytes / 1e6, sent: sent / 1e6 }
}
