import { createServer } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { createSession } from 'better-sse'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { createSseStream, Hub } from 'spillway'

// The least that each can do: answer, and keep the stream open. Nothing of the benchmark is held for a stream.

const HEAD = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
  Vary: 'Accept',
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
  // The same head and the same first bytes as Spillway.
  bare: () =>
    createServer((_request, response) => {
      response.writeHead(200, HEAD)
      response.write(':\nretry: 3000\n')
    }),
  spillway: () => createServer((request, response) => createSseStream(request, response)),
  'spillway hub': () =>
    createServer((request, response) => channel.subscribe(createSseStream(request, response))),
  'better-sse': () => createServer((request, response) => createSession(request, response)),
  hono: () => createAdaptorServer({ fetch: app.fetch }),
}
