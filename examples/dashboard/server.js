// This machine's own load, memory and event-loop delay, live in a browser. Start it with `npm start`.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { createSseStream } from 'spillway'
import { SampleWindow, takeSample } from './samples.js'

/** @typedef {import('./samples.js').Sample} Sample */
/** @typedef {{ sample: Sample, resume: { missed: number } }} Events */

const SAMPLE_EVERY = 250
const WINDOW = 60_000
const samples = new SampleWindow(WINDOW / SAMPLE_EVERY)

/**
 * Every open stream, with the id that its page chose for itself.
 *
 * @type {Map<import('spillway').SseStream<Events>, string | null>}
 */
const streams = new Map()

// One timer for all: a sample is taken once, however many clients watch.
const sampling = setInterval(() => {
  const event = samples.add(takeSample())
  for (const stream of streams.keys()) stream.send(event)
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
  const stream = createSseStream(request, response, { replay })
  // Who is new, or has to start over after a gap, gets the recent samples: charts are never empty.
  if (samples.after(stream.lastEventId) === 'gap') {
    for (const event of samples.recent) stream.send(event)
  }
  streams.set(stream, client)
  stream.once('close', () => streams.delete(stream))
}

/** @type {import('spillway').Replay<Events>} */
function replay(lastEventId) {
  const missed = samples.after(lastEventId)
  return missed === 'gap' ? 'gap' : [{ event: 'resume', data: { missed: missed.length } }, ...missed]
}

/**
 * Cuts the connection of one page, as a network would.
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

// Only what stands here is served.
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

// The loopback address only: what this machine does is nobody else's business.
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`The dashboard is at http://localhost:${port}`)
})

process.once('SIGINT', shutDown).once('SIGTERM', shutDown)

function shutDown() {
  clearInterval(sampling)
  server.close()
  for (const stream of streams.keys()) stream.close()
  // A browser keeps its connections for later requests, and the process would wait for them.
  setTimeout(() => server.closeAllConnections(), 200).unref()
}
