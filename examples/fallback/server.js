// Shows in a page which transport `spillway/client` uses, and why. Run `node examples/fallback/server.js`.
//
// The page is served directly and through three proxies, each on a port of its own. Two of them hold a stream until it
// ends, so that the client polls there. A proxy that is not installed is left out. Open a page twice, and the second
// tab shares the connection of the first one.

import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, gracefulShutdown, Hub } from 'spillway'
import { launchLighttpd, launchNginx } from '../../support/proxies.js'

const hub = new Hub()
const counts = hub.channel('counts')

/** @type {Set<import('spillway').SseStream>} */
const open = new Set()

let latest = { count: 0, id: '' }
async function publishCount() {
  const streams = [...open].filter(({ format }) => format === 'event-stream').length
  const data = { count: latest.count + 1, streams }
  const id = await counts.publish({ event: 'count', data })
  latest = { count: data.count, id }
}

// The count is published once before the first page is served, so that it has an id.
await publishCount()
setInterval(publishCount, 300)

const page = readFileSync(new URL('public/index.html', import.meta.url), 'utf8')
const scripts = new Map([['/fallback.js', new URL('public/fallback.js', import.meta.url)]])
// The client loads the code for shared connections from its own folder.
const client = new URL('.', import.meta.resolve('spillway/client'))
for (const name of readdirSync(client)) {
  if (name.endsWith('.js')) scripts.set(`/client/${name}`, new URL(name, client))
}

const server = createServer((request, response) => {
  const [path = ''] = (request.url ?? '').split('?', 1)
  const script = scripts.get(path)
  if (path === '/events') openStream(request, response)
  else if (path === '/') sendPage(response)
  else if (script) response.setHeader('Content-Type', 'text/javascript').end(readFileSync(script))
  else response.writeHead(404).end()
})

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function openStream(request, response) {
  // Ends a stream that lighttpd holds, because lighttpd does not notice that the client has fallen back to polls.
  const maxDuration = 600_000
  const stream = createSseStream(request, response, { formats: ['event-stream', 'json'], maxDuration })
  open.add(stream)
  stream.once('close', () => open.delete(stream))
  counts.subscribe(stream)
}

/**
 * The page contains the present count and its id. The client resumes from there, so that its first event has to be the
 * next count, however long the page takes to find a transport.
 *
 * @param {import('node:http').ServerResponse} response
 */
function sendPage(response) {
  response.setHeader('Content-Type', 'text/html; charset=utf-8').setHeader('Cache-Control', 'no-store')
  response.end(page.replace('COUNT', String(latest.count)).replace('LAST_EVENT_ID', latest.id))
}

/** @type {Array<import('../../support/proxies.js').ProxyProcess>} */
const proxies = []

/**
 * @param {string} name
 * @param {() => Promise<import('../../support/proxies.js').ProxyProcess>} launch
 */
async function startProxy(name, launch) {
  try {
    const proxy = await launch()
    proxies.push(proxy)
    console.log(`${name}: http://127.0.0.1:${proxy.port}`)
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    console.log(`${name}: ${isMissing ? 'not installed' : error}`)
  }
}

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', async () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`no proxy: http://127.0.0.1:${port}`)
  await startProxy('nginx with default settings', () => launchNginx(port))
  const location = 'proxy_ignore_headers X-Accel-Buffering;'
  await startProxy('nginx that ignores X-Accel-Buffering', () => launchNginx(port, { location }))
  await startProxy('lighttpd as installed', () => launchLighttpd(port))
})

gracefulShutdown({
  server,
  hub,
  grace: 500,
  onClosed: () => Promise.all(proxies.map((proxy) => proxy.end())),
})
