// A server whose adapter is the first argument, for tests that end its process by a signal. The options of the shutdown
// are the second argument, as JSON. With `hono without server`, the server is not an option of the shutdown. Prints its
// URL, and then the states of the shutdown.

import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { createServer as createSecure } from 'node:https'
import { generate } from 'selfsigned'
import { createSseStream, gracefulShutdown, Hub } from 'spillway'

const [, , adapter = 'http', options = '{}'] = process.argv
const hub = new Hub()
const time = hub.channel('time')
const timer = setInterval(() => time.publish({ data: process.pid }), 100)

const PAGE = `<script>
  const source = new EventSource('/events')
  globalThis.pids = []
  globalThis.states = []
  source.onmessage = ({ data }) => pids.includes(data) || pids.push(data)
  source.onerror = () => states.push(source.readyState)
</script>`

/** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response */
function respond(request, response) {
  if (request.url === '/events') return time.subscribe(createSseStream(request, response))
  if (request.url === '/plain') {
    const stream = createSseStream(request, response)
    return void stream.send({ data: process.pid })
  }
  response.setHeader('Content-Type', 'text/html')
  response.end(PAGE)
}

async function certificate() {
  const pem = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' })
  return { key: pem.private, cert: pem.cert }
}

const port = Number(process.env.PORT ?? 0)
const host = '127.0.0.1'

// Each returns the server, and how it begins to listen if that is not by `listen`.
const adapters = {
  http: async () => ({ server: createServer(respond) }),

  /** Keeps a timer, and fails at the end. */
  async failing() {
    setInterval(() => {}, 1_000)
    const onClosed = () => Promise.reject('The end has failed.')
    return { server: createServer(respond), onClosed }
  },

  https: async () => ({ server: createSecure(await certificate(), respond) }),

  http2: async () => ({
    // @ts-expect-error The types of HTTP/2 have no common listener with those of HTTP/1.
    server: createSecureServer({ ...(await certificate()), allowHTTP1: true }, respond),
  }),

  async express() {
    const { default: express } = await import('express')
    const { sse } = await import('spillway/express')
    const app = express()
    app.get(
      '/events',
      sse((stream) => time.subscribe(stream)),
    )
    app.get('/', (_request, response) => void response.send(PAGE))
    return { server: createServer(app) }
  },

  async koa() {
    const { default: Koa } = await import('koa')
    const { sse } = await import('spillway/koa')
    const events = sse((stream) => time.subscribe(stream))
    const app = new Koa().use((context, next) => {
      if (context.path === '/events') return events(context, next)
      context.body = PAGE
    })
    return { server: createServer(app.callback()) }
  },

  async fastify() {
    const { default: Fastify } = await import('fastify')
    const { spillwayPlugin, sse } = await import('spillway/fastify')
    const fastify = Fastify().register(spillwayPlugin)
    fastify.get(
      '/events',
      sse((stream) => time.subscribe(stream)),
    )
    fastify.get('/', (_request, reply) => reply.type('text/html').send(PAGE))
    fastify.addHook('onClose', async () => console.log('onClose'))
    await fastify.ready()
    const listen = () => fastify.listen({ port, host })
    return { server: fastify.server, listen, onClosed: () => fastify.close() }
  },

  async hono() {
    const { createAdaptorServer } = await import('@hono/node-server')
    const { Hono } = await import('hono')
    const { sse } = await import('spillway/web')
    const events = sse((stream) => time.subscribe(stream))
    const app = new Hono()
    app.get('/events', (context) => events(context.req.raw))
    app.get('/', (context) => context.html(PAGE))
    return { server: createAdaptorServer(app) }
  },

  async nest() {
    await import('reflect-metadata')
    const { Controller, Get, Module, Req, Res } = await import('@nestjs/common')
    const { NestFactory } = await import('@nestjs/core')
    class Root {
      /** @param {any} request @param {any} response */
      respond(request, response) {
        respond(request, response)
      }
    }
    Controller()(Root)
    Get(['/', '/events'])(Root.prototype, 'respond', { value: Root.prototype.respond })
    Req()(Root.prototype, 'respond', 0)
    Res()(Root.prototype, 'respond', 1)
    class App {}
    Module({ controllers: [Root] })(App)
    const app = await NestFactory.create(App, { logger: ['error'] })
    return { server: app.getHttpServer(), listen: () => app.listen(port, host), onClosed: () => app.close() }
  },
}

// A framework that creates its server itself, and closes it at the signal.
const [name, isHidden] = adapter.split(' without ')
/** @typedef {{ server: any, listen?: () => unknown, onClosed?: () => unknown }} Adapter */
const create = /** @type {Record<string, () => Promise<Adapter>>} */ (adapters)[name ?? '']
if (!create) throw new Error(`There is no adapter ${adapter}.`)
const { server, listen = () => server.listen(port, host), onClosed } = await create()
const shutdown = gracefulShutdown({
  server: isHidden ? undefined : server,
  hub,
  // The test waits longer for none of the times.
  ...{ grace: 600_000, spread: 0, retry: 500, exit: false },
  onShutdown() {
    console.log(shutdown.state)
    if (isHidden) server.close()
  },
  async onClosed() {
    clearInterval(timer)
    await onClosed?.()
    console.log('onClosed')
  },
  ...JSON.parse(options),
})
server.once('listening', () => {
  const scheme = adapter === 'https' || adapter === 'http2' ? 'https' : 'http'
  console.log(`${scheme}://${host}:${server.address().port}`)
})
if (process.env.LISTEN !== 'never') await listen()
else console.log('not listening')
