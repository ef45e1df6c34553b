import { createServer as createHttpServer } from 'node:http'
import fastifySse from '@fastify/sse'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { createSseStream, Hub } from 'spillway'
import { sse as expressSse } from 'spillway/express'
import { sse as fastifyOurs } from 'spillway/fastify'
import { sse as webSse } from 'spillway/web'

// One topic that all clients of a framework subscribe to, with the usual code of the framework and with Spillway.

const NAME = 'price'
const encoder = new TextEncoder()

/** Publishes through a hub. `listen` creates a server that calls its argument with each stream. */
function byHub(listen) {
  const channel = new Hub().channel('prices')
  return {
    createServer: (onStream) =>
      listen((stream) => {
        channel.subscribe(stream)
        stream.on('close', onStream({}))
      }),
    publish: (data) => channel.publish({ event: NAME, data }),
  }
}

/** Publishes without a hub. `send` is called for each client. */
function byHand(listen, send) {
  const clients = new Set()
  let n = 0
  return {
    createServer: (onStream) =>
      listen((client) => {
        clients.add(client)
        const onClose = onStream({})
        return () => {
          clients.delete(client)
          onClose()
        }
      }),
    publish(data) {
      const id = `0123456789ab-${n++}`
      const bytes = encoder.encode(`event: ${NAME}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
      for (const client of clients) send(client, { event: NAME, id, data }, bytes)
    },
  }
}

// Fastify creates its own server, which is ready a moment later.
function serverOf(app) {
  app.ready()
  return app.server
}

export const contenders = {
  'node:http, spillway': () =>
    byHub((subscribe) =>
      createHttpServer((request, response) => subscribe(createSseStream(request, response))),
    ),

  'express, spillway': () =>
    byHub((subscribe) =>
      createHttpServer(
        express().get(
          '/',
          expressSse((stream) => subscribe(stream)),
        ),
      ),
    ),

  'hono, spillway': () =>
    byHub((subscribe) => {
      const handler = webSse((stream) => subscribe(stream))
      return createAdaptorServer({ fetch: new Hono().get('/', (context) => handler(context.req.raw)).fetch })
    }),

  'hono, streamSSE': () =>
    byHand(
      (subscribe) => {
        const app = new Hono()
        app.get('/', (context) =>
          streamSSE(context, async (stream) => {
            await stream.write(':\n\n')
            const unsubscribe = subscribe(stream)
            await new Promise((resolve) => stream.onAbort(resolve))
            unsubscribe()
          }),
        )
        return createAdaptorServer({ fetch: app.fetch })
      },
      (stream, { event, id, data }) => stream.writeSSE({ event, id, data: JSON.stringify(data) }),
    ),

  // The minimal cost of a fetch server: bytes that are created once and enqueued in each body.
  'hono, enqueue': () =>
    byHand(
      (subscribe) => {
        const app = new Hono()
        app.get('/', () => {
          let unsubscribe
          const body = new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode(':\n\n'))
              unsubscribe = subscribe(controller)
            },
            cancel: () => unsubscribe(),
          })
          return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
        })
        return createAdaptorServer({ fetch: app.fetch })
      },
      (controller, _message, bytes) => controller.enqueue(bytes),
    ),

  'fastify, spillway': () =>
    byHub((subscribe) =>
      serverOf(
        fastify().get(
          '/',
          fastifyOurs((stream) => subscribe(stream)),
        ),
      ),
    ),

  'fastify, @fastify/sse': () =>
    byHand(
      (subscribe) => {
        const app = fastify()
        app.register(fastifySse)
        app.after(() => {
          app.get('/', { sse: true }, async (_request, reply) => {
            reply.sse.keepAlive()
            await reply.sse.send({ data: 'hello', event: 'hello' })
            reply.sse.onClose(subscribe(reply.sse))
          })
        })
        return serverOf(app)
      },
      (sse, message) => sse.send(message),
    ),
}
