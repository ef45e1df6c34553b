// Shows the load, memory and event-loop delay of this machine live in a browser. Start it with `npm start`.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { createSseStream, gracefulShutdown, Hub, memoryStore } from 'spillway'
import { takeSample } from './samples.js'

/** @typedef {import('./samples.js').Sample} Sample */

const SAMPLE_EVERY = 250
const WINDOW = 60_000
const KEPT = WINDOW / SAMPLE_EVERY

const hub = new Hub({ store: memoryStore({ maxEvents: KEPT }) })

/** @type {import('spillway').Channel<{ sample: Sample }>} */
const channel = hub.channel('samples')

/**
 * The samples of the last minute, for clients that have no last event id. They have the ids of the hub, so that a
 * client that loses its connection in the middle of them resumes from there.
 *
 * @type {Array<{ event: 'sample', id: string, data: Sample }>}
 */
const recent = []

/**
 * Every open stream, with the id that its page has chosen.
 *
 * @type {Map<import('spillway').SseStream, string | null>}
 */
const streams = new Map()

// Takes and publishes each sample once, for any number of clients.
setInterval(async () => {
  const data = takeSample()
  const id = await channel.publish({ event: 'sample', data })
  recent.push({ event: 'sample', id, data })
  if (recent.length > KEPT) recent.shift()
}, SAMPLE_EVERY)

const server = createServer((request, response) => {
  const [path = '', query] = (request.url ?? '').split('?', 2)
  const client = new URLSearchParams(query).get('client')
  if (path === '/events') openStream(request, response, client)
  else if (path === '/drop' && request.method === 'POST') dropClient(response, client)
  else sendFile(response, path)
})

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {string | null} client
 */
function openStream(request, response, client) {
  const stream = createSseStream(request, response)
  streams.set(stream, client)
  stream.once('close', () => streams.delete(stream))
  // Events up to `latest` are replayed and later ones are live, so that the page can distinguish them.
  stream.send({ event: 'hello', data: { latest: recent.at(-1)?.id } })
  // A new client gets the last minute, so that its charts are not empty. The hub replays to a client that reconnects.
  const isNew = !request.headers['last-event-id']
  if (isNew) for (const event of recent) stream.send(event)
  channel.subscribe(stream, { onGap })
}

/**
 * Returns the same samples as for a new client, because the charts of a client start again after a gap.
 *
 * @type {import('spillway').OnGap}
 */
function onGap({ reason }) {
  return [{ event: 'gap', data: { reason } }, ...recent]
}

/**
 * Cuts the connection of one page, as a network failure would.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {string | null} client
 */
function dropClient(response, client) {
  const dropped = [...streams].filter(([, owner]) => client !== null && owner === client)
  for (const [stream] of dropped) stream.destroy()
  response.writeHead(dropped.length > 0 ? 204 : 404).end()
}

const { resolve } = createRequire(import.meta.url)

// Only these files are served.
const files = new Map([
  ['/', page('index.html', 'text/html')],
  ['/dashboard.js', page('dashboard.js', 'text/javascript')],
  ['/charts.js', page('charts.js', 'text/javascript')],
  ['/dashboard.css', page('dashboard.css', 'text/css')],
  ['/icon.svg', page('icon.svg', 'image/svg+xml')],
  ['/uplot.js', file(resolve('uplot/dist/uPlot.iife.min.js'), 'text/javascript')],
  ['/uplot.css', file(resolve('uplot/dist/uPlot.min.css'), 'text/css')],
])

/**
 * @param {string} name
 * @param {string} type
 */
function page(name, type) {
  return file(new URL(`public/${name}`, import.meta.url), type)
}

/**
 * @param {string | URL} location
 * @param {string} type
 */
function file(location, type) {
  const headers = {
    'Content-Type': `${type}; charset=utf-8`,
    'Content-Security-Policy': "default-src 'self'",
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-cache',
  }
  return { body: readFileSync(location), headers }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {string} path
 */
function sendFile(response, path) {
  const found = files.get(path)
  if (found) response.writeHead(200, found.headers).end(found.body)
  else response.writeHead(404).end()
}

// Listens on the loopback address only, because the load of this machine is private.
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`The dashboard is at http://localhost:${port}`)
})

gracefulShutdown({ server, hub, grace: 500 })
