import { createServer } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createSession } from 'better-sse'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { createSseStream, Hub } from 'spillway'

// Minimal handlers that only respond and keep the stream open. The benchmark keeps no data per stream.

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

const app = new Hono()
app.get('/', (context) =>
  streamSSE(context, async (stream) => {
    await stream.write(':\n\n')
    await new Promise((resolve) => stream.onAbort(resolve))
  }),
)

const channel = new Hub().channel('prices')

export const servers = {
  // The same response headers and first bytes as Spillway.
  bare: () =>
    createServer((_request, response) => {
      response.writeHead(200, HEADERS)
      response.write(':\nretry: 3000\n')
    }),
  spillway: () => createServer((request, response) => createSseStream(request, response)),
  'spillway hub': () =>
    createServer((request, response) => channel.subscribe(createSseStream(request, response))),
  'better-sse': () => createServer((request, response) => createSession(request, response)),
  hono: () => createAdaptorServer({ fetch: app.fetch }),
}
