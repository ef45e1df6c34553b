import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import fastify from 'fastify'
import Koa from 'koa'
import { expect, it, onTestFinished } from 'vitest'
import { sse as expressSse } from '../../src/adapters/express.ts'
import { sse as fastifySse } from '../../src/adapters/fastify/index.ts'
import { sse as koaSse } from '../../src/adapters/koa.ts'
import { sse } from '../../src/http/sse.ts'
import { StreamAttributes } from '../../src/metrics/stream-attributes.ts'
import { listen } from '../support/diagnostics.ts'

const attributes = new StreamAttributes({})

/** Resolves with the attributes of the stream that a request of `/users/7/events` gets. */
async function attributesAt(port: number): Promise<unknown> {
  let seen: unknown
  listen('spillway:stream:open', ({ stream }) => {
    seen = attributes.of(stream)
  })
  const controller = new AbortController()
  const response = await fetch(`http://127.0.0.1:${port}/users/7/events`, { signal: controller.signal })
  expect(response.status).toBe(200)
  controller.abort()
  return seen
}

/** Returns the port of a listener on a free port, which is closed after the test. */
async function portOf(listener: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => server.close().closeAllConnections())
  return (server.address() as AddressInfo).port
}

const STREAM = {
  'spillway.transport': 'stream',
  'spillway.format': 'event-stream',
  'network.protocol.version': '1.1',
}

it('has the route of Express', async () => {
  const app = express().get(
    '/users/:id/events',
    expressSse(() => {}),
  )

  expect(await attributesAt(await portOf(app))).toEqual({ ...STREAM, 'http.route': '/users/:id/events' })
})

it('has the route of a router of Express without what its path matched, which may be an id', async () => {
  const router = express.Router().get(
    '/events',
    expressSse(() => {}),
  )
  const port = await portOf(express().use('/users/:id', router))

  expect(await attributesAt(port)).toEqual({ ...STREAM, 'http.route': '/events' })
})

it('has the route of Fastify', async () => {
  const app = fastify()
  app.get(
    '/users/:id/events',
    fastifySse(() => {}),
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  onTestFinished(() => app.server.close().closeAllConnections())

  const { port } = app.server.address() as AddressInfo
  expect(await attributesAt(port)).toEqual({ ...STREAM, 'http.route': '/users/:id/events' })
})

it('has the route of a router of Koa', async () => {
  const koa = new Koa()
    // As `@koa/router` does.
    .use((context, next) => {
      Object.assign(context, { _matchedRoute: '/users/:id/events' })
      return next()
    })
    .use(koaSse(() => {}))

  expect(await attributesAt(await portOf(koa.callback()))).toEqual({
    ...STREAM,
    'http.route': '/users/:id/events',
  })
})

it('has no route with Koa without a router, and with node:http', async () => {
  const koa = new Koa().use(koaSse(() => {}))
  expect(await attributesAt(await portOf(koa.callback()))).toEqual(STREAM)
  expect(await attributesAt(await portOf(sse(() => {}) as never))).toEqual(STREAM)
})
