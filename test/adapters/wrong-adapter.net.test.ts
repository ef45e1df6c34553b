import { createServer } from 'node:http'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { expect, onTestFinished, test } from 'vitest'
import { sse as expressSse } from '../../src/adapters/express.ts'
import { sse as fastifySse } from '../../src/adapters/fastify/index.ts'
import { sse as koaSse } from '../../src/adapters/koa.ts'
import { sse as nextSse } from '../../src/adapters/next.ts'
import { sse as webSse } from '../../src/adapters/web.ts'
import { listenForTest } from '../support/serve.ts'

type Route = (...args: unknown[]) => unknown

const IMPORT = 'Import sse of the adapter for your framework.'
const GIVEN: Readonly<Record<string, string>> = {
  'node:http': 'an IncomingMessage',
  Express: 'an IncomingMessage',
  Fastify: 'a Request',
  Koa: 'an object',
  Hono: 'a Context',
}
const webMessage = (host: string) => {
  const hint =
    host === 'Hono'
      ? 'Did you mean context.req.raw (Hono)?'
      : `Use createSseStream for a Node.js request. ${IMPORT}`
  return `Expected a web Request, not ${GIVEN[host]}. ${hint}`
}

type Adapter = readonly [
  name: string,
  sse: (handler: () => never) => unknown,
  framework: string,
  message: (host: string) => string,
]

// Each adapter, its framework, and its message in another one.
const adapters: readonly Adapter[] = [
  ['express', expressSse, 'Express', () => `sse of spillway/express was called without next. ${IMPORT}`],
  ['fastify', fastifySse, 'Fastify', () => `sse of spillway/fastify was called without a reply. ${IMPORT}`],
  ['koa', koaSse, 'Koa', () => `sse of spillway/koa was called without a context. ${IMPORT}`],
  ['next', nextSse, 'Next', webMessage],
  ['web', webSse, 'Bun', webMessage],
]

// Each host serves a route on a free port, and reports what the route throws.
const hosts: Readonly<Record<string, (route: Route, onError: (error: unknown) => void) => Promise<string>>> =
  {
    async 'node:http'(route, onError) {
      const server = createServer(async (request, response) => {
        try {
          await route(request, response)
        } catch (error) {
          onError(error)
          response.writeHead(500).end()
        }
      })
      return urlOf(await listenForTest(server))
    },
    async Express(route, onError) {
      const app = express()
      app.get('/', route as express.RequestHandler)
      app.use(((error, _request, response, _next) => {
        onError(error)
        response.status(500).end()
      }) as express.ErrorRequestHandler)
      return urlOf(await listenForTest(createServer(app)))
    },
    async Fastify(route, onError) {
      const fastify = Fastify()
      onTestFinished(() => fastify.close())
      fastify.setErrorHandler((error, _request, reply) => {
        onError(error)
        reply.code(500).send()
      })
      fastify.get('/', route as never)
      return fastify.listen({ port: 0, host: '127.0.0.1' })
    },
    async Koa(route, onError) {
      const app = new Koa()
      app.use(route as Koa.Middleware)
      app.on('error', onError)
      return urlOf(await listenForTest(createServer(app.callback())))
    },
    async Hono(route, onError) {
      const app = new Hono()
      app.get('/', route as never)
      app.onError((error, context) => {
        onError(error)
        return context.body(null, 500)
      })
      const server = createServer(async (_request, response) => {
        const { status } = await app.request('/')
        response.writeHead(status).end()
      })
      return urlOf(await listenForTest(server))
    },
  }

const urlOf = ({ port }: { port: number }) => `http://127.0.0.1:${port}`

const wrong = adapters.flatMap(([name, sse, framework, messageIn]) =>
  Object.keys(hosts)
    .filter((host) => host !== framework)
    .map((host) => [name, host, sse, messageIn(host)] as const),
)

test.each(wrong)('sse of spillway/%s throws ERR_SSE_REQUEST in %s', async (_name, host, sse, message) => {
  const errors: unknown[] = []
  const route = sse(() => expect.unreachable()) as Route
  const url = await hosts[host]?.(route, (error) => errors.push(error))
  const { status } = await fetch(`${url}`)
  expect([status, errors]).toEqual([500, [expect.objectContaining({ code: 'ERR_SSE_REQUEST', message })]])
})
