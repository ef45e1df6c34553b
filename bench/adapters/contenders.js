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

// One topic that all clients of a framework follow: by its usual way, and by ours.

const NAME = 'price'
const encoder = new TextEncoder()

/** All who follow a hub of ours. `listen` makes a server that calls what it is given with each stream. */
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

/** All who are sent each event by hand. */
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

// Fastify makes its server itself, and is ready a moment later.
function serverOf(app) {
  app.ready()
  return app.server
}

export const contenders = {
  'node:http, spillway': () =>
    byHub((follow) => createHttpServer((request, response) => follow(createSseStream(request, response)))),

  'express, spillway': () =>
    byHub((follow) =>
      createHttpServer(
        express().get(
          '/',
          expressSse((stream) => follow(stream)),
        ),
      ),
    ),

  'hono, spillway': () =>
    byHub((follow) => {
      const answer = webSse((stream) => follow(stream))
      return createAdaptorServer({ fetch: new Hono().get('/', (context) => answer(context.req.raw)).fetch })
    }),

  'hono, streamSSE': () =>
    byHand(
      (follow) => {
        const app = new Hono()
        app.get('/', (context) =>
          streamSSE(context, async (stream) => {
            await stream.write(':\n\n')
            const leave = follow(stream)
            await new Promise((resolve) => stream.onAbort(resolve))
            leave()
          }),
        )
        return createAdaptorServer({ fetch: app.fetch })
      },
      (stream, { event, id, data }) => stream.writeSSE({ event, id, data: JSON.stringify(data) }),
    ),

  // The floor of what a fetch server costs: bytes made once, put into each body.
  'hono, enqueue': () =>
    byHand(
      (follow) => {
        const app = new Hono()
        app.get('/', () => {
          let leave
          const body = new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode(':\n\n'))
              leave = follow(controller)
            },
            cancel: () => leave(),
          })
          return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
        })
        return createAdaptorServer({ fetch: app.fetch })
      },
      (controller, _message, bytes) => controller.enqueue(bytes),
    ),

  'fastify, spillway': () =>
    byHub((follow) =>
      serverOf(
        fastify().get(
          '/',
          fastifyOurs((stream) => follow(stream)),
        ),
      ),
    ),

  'fastify, @fastify/sse': () =>
    byHand(
      (follow) => {
        const app = fastify()
        app.register(fastifySse)
        app.after(() => {
          app.get('/', { sse: true }, async (_request, reply) => {
            reply.sse.keepAlive()
            await reply.sse.send({ data: 'hello', event: 'hello' })
            reply.sse.onClose(follow(reply.sse))
          })
        })
        return serverOf(app)
      },
      (sse, message) => sse.send(message),
    ),
}
