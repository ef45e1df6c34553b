// A server whose adapter is the first argument, and whose application for Next.js is in the folder of the third one,
// for clients that disconnect at random moments. Needs --expose-gc. It sends its port, publishes between `start` and
// `stop`, and sends the size of its heap after `measure`, and how many objects of each kind it has after `count`.

import { EventEmitter } from 'node:events'
import { readdirSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import { createSseStream, Hub, memoryStore, SseStream, StreamLimits, sse } from 'spillway'

const [, , adapter = '', socketPath = '', folder = ''] = process.argv

// The log has a fixed size, so that it never counts as a growth.
const KEPT = 400
const EVENT = 'x'.repeat(1_000)
// More than the kernel buffers of a Unix socket, and less than a stream may queue.
const BLOCK = 'x'.repeat(600_000)

const hub = new Hub({ store: memoryStore({ maxEvents: KEPT }) })
const channel = hub.channel('news')
const limits = new StreamLimits({ maxPerKey: 100_000, key: () => 'one' })

/** @typedef {import('spillway').SseStream} Stream */
/** @param {Stream} stream @param {string | undefined} url */
function begin(stream, url = '') {
  if (url.includes('block')) stream.send({ data: BLOCK })
  channel.subscribe(stream)
}

/** @param {Stream} stream */
async function authorize(stream) {
  const url = String(/** @type {{ url?: string }} */ (stream.request).url)
  const wait = /wait=(\d+)/.exec(url)?.[1]
  if (wait) await pause(Number(wait))
  return true
}

// Short times, so that timers run on open streams.
const streamOptions = { heartbeat: 300, stallTimeout: 5_000, compress: true }
/** @type {Array<'event-stream' | 'ndjson' | 'json'>} */
const formats = ['event-stream', 'ndjson', 'json']
const options = { ...streamOptions, formats, authorize, limits }

/** @param {http.IncomingMessage} request @param {http.ServerResponse} response */
async function openStream(request, response) {
  const stream = createSseStream(request, response, streamOptions)
  const wait = /wait=(\d+)/.exec(String(request.url))?.[1]
  if (wait) await pause(Number(wait))
  await limits.admit(stream)
  begin(stream, request.url)
}

const nodeHandler = sse((stream, request) => begin(stream, request.url), options)

const adapters = {
  createSseStream: async () => http.createServer((request, response) => void openStream(request, response)),

  node: async () => http.createServer(nodeHandler),

  async express() {
    const { default: express } = await import('express')
    const { sse } = await import('spillway/express')
    const handler = sse((stream, request) => begin(stream, request.url), options)
    return http.createServer(express().get('/', handler))
  },

  async fastify() {
    const { default: Fastify } = await import('fastify')
    const { spillwayPlugin, sse } = await import('spillway/fastify')
    const fastify = Fastify().register(spillwayPlugin)
    fastify.get(
      '/',
      sse((stream, request) => begin(stream, request.url), options),
    )
    await fastify.ready()
    return fastify.server
  },

  async koa() {
    const { default: Koa } = await import('koa')
    const { sse } = await import('spillway/koa')
    return http.createServer(new Koa().use(sse((stream, ctx) => begin(stream, ctx.url), options)).callback())
  },

  async hono() {
    const { createAdaptorServer } = await import('@hono/node-server')
    const { Hono } = await import('hono')
    const { sse } = await import('spillway/web')
    const handler = sse((stream, request) => begin(stream, request.url), options)
    const { fetch } = new Hono().get('/', (context) => handler(context.req.raw))
    return /** @type {http.Server} */ (createAdaptorServer({ fetch }))
  },

  async next() {
    const { default: createApp } = /** @type {any} */ (await import('next'))
    Object.assign(globalThis, {
      churn: {
        /** @param {Stream} stream @param {Request} request */
        begin(stream, request) {
          // The bundle has its own class.
          CLASSES.SseStream = /** @type {typeof SseStream} */ (stream.constructor)
          begin(stream, request.url)
        },
        options,
      },
    })
    const app = createApp({ dir: folder, dev: false })
    await app.prepare()
    const handle = app.getRequestHandler()
    return http.createServer((request, response) => void handle(request, response))
  },

  http2: async () => http2.createServer(/** @type {any} */ (nodeHandler)),
}

/** @type {net.Server} */
const server = await adapters[/** @type {keyof typeof adapters} */ (adapter)]()
let connections = 0
server.on('connection', (socket) => {
  connections += 1
  socket.once('close', () => {
    connections -= 1
  })
})
// A Unix socket has small buffers, so that a client lags after few bytes.
const local = net.createServer((socket) => void server.emit('connection', socket)).listen(socketPath)
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: /** @type {net.AddressInfo} */ (server.address()).port })
})

/** @type {NodeJS.Timeout | undefined} */
let publisher

const CLASSES = {
  SseStream,
  // Sockets, requests and responses too.
  EventEmitter,
  Timeout: setTimeout(() => {}, 0).constructor,
  AbortSignal,
  ReadableStream,
}

function isQuiet() {
  return hub.size === 0 && limits.size === 0 && connections === 0 && channel.size === 0
}

/** Returns the bytes of the heap once all clients have disconnected. */
async function measure() {
  for (let left = 1_000; left > 0 && !isQuiet(); left--) await pause(10)
  // The log has the same events as before.
  for (let count = 0; count < KEPT; count++) await channel.publish({ data: EVENT })
  // Objects with a weak reference or a finalizer take several collections.
  for (let count = 0; count < 4; count++) {
    await pause(20)
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

/** Counts what a leak would consist of. */
function count() {
  return {
    'subscribed streams': hub.size,
    'streams of the channel': channel.size,
    'counted streams': limits.size,
    connections,
    descriptors: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().length,
    listeners: [process, server, local, hub].reduce((sum, each) => sum + listenersOf(each), 0),
    ...Object.fromEntries(Object.entries(CLASSES).map(([name, each]) => [name, countOf(each)])),
  }
}

/** @param {Function} type */
function countOf(type) {
  return /** @type {(of: Function, options: object) => number} */ (queryObjects)(type, {
    format: 'count',
  })
}

/** @param {{ eventNames?(): Array<string | symbol>, listenerCount(name: any): number }} emitter */
function listenersOf(emitter) {
  return (emitter.eventNames?.() ?? []).reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}

process.on('message', async (message) => {
  if (message === 'start') {
    publisher = setInterval(() => void channel.publish({ data: EVENT }), 2)
    process.send?.({})
  } else if (message === 'measure') {
    clearInterval(publisher)
    process.send?.({ heap: await measure() })
  } else process.send?.({ counts: count() })
})
