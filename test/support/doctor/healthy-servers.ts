import 'reflect-metadata'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import net, { type Server, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { fastifySSE } from '@fastify/sse'
import { getRequestListener } from '@hono/node-server'
import { Controller, Headers, Module, Sse } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { createSession } from 'better-sse'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import Koa from 'koa'
import { Observable } from 'rxjs'
import { onTestFinished } from 'vitest'
import { createSseStream } from '../../../src/http/create-sse-stream.ts'
import { Hub } from '../../../src/hub/hub.ts'
import type { SseStream } from '../../../src/stream/stream.ts'
import { decorate, decorateMethod } from '../decorate.ts'
import { listenForTest, selfSigned } from '../serve.ts'
import { Feed, textOf } from './feed.ts'

/** Starts a server. Resolves with the URL of a stream. The server is closed after the test. */
export type StartServer = () => Promise<string>

const HEADERS = {
  'Content-Type': 'text/event-stream',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/** Servers of different kinds that follow all advice of the doctor. */
export const HEALTHY_SERVERS: Readonly<Record<string, StartServer>> = {
  spillway: () => listen(http.createServer(newsHandler())),

  'spillway with HTTP/2': async () => {
    const handler = newsHandler() as unknown as Parameters<typeof http2.createSecureServer>[1]
    return listen(http2.createSecureServer({ ...(await selfSigned()), allowHTTP1: true }, handler), 'https')
  },

  'spillway with HTTP/2 only': async () => {
    const handler = newsHandler() as unknown as Parameters<typeof http2.createSecureServer>[1]
    return listen(http2.createSecureServer(await selfSigned(), handler), 'https')
  },

  'better-sse': () => {
    const feed = new Feed()
    const app = express()
    app.head('/', (_request, response) => void response.writeHead(200, HEADERS).end())
    app.get('/', async (request, response) => {
      const session = await createSession(request, response, {
        headers: { 'Cache-Control': HEADERS['Cache-Control'] },
      })
      for (const { id, data } of feed.after(session.lastId)) session.push(data, 'message', id)
      const stop = feed.listen(({ id, data }) => session.push(data, 'message', id))
      session.once('disconnected', stop)
    })
    return listen(http.createServer(app))
  },

  '@fastify/sse': async () => {
    const feed = new Feed()
    const app = fastify()
    await app.register(fastifySSE, { heartbeatInterval: 15_000 })
    app.get('/', { sse: 'only' }, async (request, reply) => {
      reply.header('Cache-Control', HEADERS['Cache-Control'])
      reply.sse.sendHeaders()
      // Fastify adds a route for HEAD.
      if (request.method === 'HEAD') return reply.sse.close()
      reply.raw.write(':\n\n')
      reply.sse.keepAlive()
      await reply.sse.replay(async (id) => {
        for (const event of feed.after(id)) await reply.sse.send(event)
      })
      const stop = feed.listen((event) => void reply.sse.send(event).catch(() => {}))
      reply.raw.on('close', stop)
    })
    await app.ready()
    onTestFinished(() => app.close())
    return listen(app.server)
  },

  hono: () => {
    const feed = new Feed()
    const app = new Hono()
    app.get('/', (context) => {
      const response = streamSSE(context, async (stream) => {
        await stream.write(':\n\n')
        for (const event of feed.after(context.req.header('last-event-id'))) await stream.writeSSE(event)
        await new Promise<void>((resolve) => {
          const stop = feed.listen((event) => void stream.writeSSE(event))
          stream.onAbort(() => {
            stop()
            resolve()
          })
        })
      })
      for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value)
      return response
    })
    return listen(http.createServer(getRequestListener(app.fetch)))
  },

  nest: async () => {
    const feed = new Feed()
    class FeedController {
      follow(id?: string) {
        return new Observable((observer) => {
          for (const event of feed.after(id)) observer.next(event)
          return feed.listen((event) => observer.next(event))
        })
      }
    }
    decorate(FeedController, [Controller()])
    decorateMethod(FeedController, 'follow', [Sse('/')], [Headers('last-event-id')])
    class AppModule {}
    decorate(AppModule, [Module({ controllers: [FeedController] })])
    const app = await NestFactory.create(AppModule, { logger: false })
    await app.init()
    return listen(app.getHttpServer())
  },

  'the wire format of Go': () => {
    const feed = new Feed()
    return listen(net.createServer((socket) => serveLikeGo(socket, feed)))
  },

  'the wire format of Mercure': () => {
    const feed = new Feed()
    return listen(http.createServer((request, response) => serveLikeMercure(request, response, feed)))
  },

  express: () => {
    const feed = new Feed()
    const app = express()
    app.get('/', (request, response) => {
      response.writeHead(200, HEADERS)
      follow(request, response, feed)
    })
    return listen(http.createServer(app))
  },

  koa: () => {
    const feed = new Feed()
    const app = new Koa()
    // A client that disconnects is no error.
    app.silent = true
    app.use((context) => {
      const body = new PassThrough()
      context.set(HEADERS)
      context.body = body
      body.write(':\n\n')
      for (const event of feed.after(context.get('last-event-id'))) body.write(textOf(event))
      body.on(
        'close',
        feed.listen((event) => body.write(textOf(event))),
      )
    })
    return listen(http.createServer(app.callback()))
  },
}

/** Returns a handler that subscribes its clients to a channel, on which a feed is published. */
function newsHandler() {
  const streams = new Set<SseStream>()
  const news = new Hub().channel('news')
  const stop = new Feed().listen(({ data }) => void news.publish({ data }))
  onTestFinished(() => {
    stop()
    for (const stream of streams) stream.destroy()
  })
  return (request: IncomingMessage, response: ServerResponse) => {
    const stream = createSseStream(request, response)
    streams.add(stream)
    news.subscribe(stream)
  }
}

/** Sends a first comment, the events after the last id of a client, and then live events. */
function follow({ method, headers }: IncomingMessage, response: ServerResponse, feed: Feed): void {
  if (method === 'HEAD') {
    response.end()
    return
  }
  response.write(':\n\n')
  for (const event of feed.after(String(headers['last-event-id'] ?? ''))) response.write(textOf(event))
  response.on(
    'close',
    feed.listen((event) => response.write(textOf(event))),
  )
}

/** Responds as `net/http` of Go with a `Flusher` does. */
function serveLikeGo(socket: Socket, feed: Feed): void {
  socket.on('error', () => {})
  socket.once('data', (request) => {
    const lines = [
      'HTTP/1.1 200 OK',
      ...Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}`),
      `Date: ${new Date().toUTCString()}`,
    ]
    if (`${request}`.startsWith('HEAD')) {
      socket.end(`${lines.join('\r\n')}\r\n\r\n`)
      return
    }
    const write = (text: string) => socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`)
    socket.write(`${[...lines, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n`)
    write(':\n\n')
    const id = /^last-event-id: *(.*?)\r?$/im.exec(`${request}`)?.[1]
    for (const event of feed.after(id)) write(textOf(event))
    socket.on(
      'close',
      feed.listen((event) => write(textOf(event))),
    )
  })
}

/** Responds as a Mercure hub does, which states in a header from where it continues. */
function serveLikeMercure(request: IncomingMessage, response: ServerResponse, feed: Feed): void {
  const id = String(request.headers['last-event-id'] ?? '')
  const isKnown = feed.log.some((event) => event.id === id)
  const headers = {
    ...HEADERS,
    'Cache-Control': 'private, no-cache, no-store, no-transform, must-revalidate, max-age=0',
    Expire: '0',
    Pragma: 'no-cache',
    ...(id === '' ? {} : { 'Last-Event-ID': isKnown ? id : feed.newest }),
  }
  response.writeHead(200, headers)
  follow(
    { method: request.method, headers: isKnown ? request.headers : {} } as IncomingMessage,
    response,
    feed,
  )
}

/** Listens on a free port. Resolves with the URL. All connections are closed after the test. */
async function listen(server: Server, scheme = 'http'): Promise<string> {
  const { port } = await listenForTest(server)
  return `${scheme}://127.0.0.1:${port}/`
}
