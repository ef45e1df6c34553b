import type { RequestListener } from 'node:http'
import { createApp, createError, createRouter, defineEventHandler, fromWebHandler, toNodeListener } from 'h3'
import { H3 } from 'h3-2'
import { toNodeHandler } from 'h3-2/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { Channel } from '../../src/hub/channel.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, settled } from '../support/streams.ts'

/** Serves an h3 application with a stream of a hub, as a route of Nuxt or Nitro is served. */
async function serveHub() {
  const hub = new Hub()
  const opened: SseStream[] = []
  const errors: unknown[] = []
  const app = createApp({ onError: (error) => void errors.push(error) })
  app.use(
    createRouter().use(
      '/events',
      defineEventHandler((event) => {
        const stream = createSseStream(event.node.req, event.node.res)
        opened.push(stream)
        hub.subscribe(stream, 'news')
      }),
    ),
  )
  const { port } = await serve(toNodeListener(app) as RequestListener)
  const ask = (headers: Record<string, string> = {}, method = 'GET') =>
    get('http', port, { path: '/events', headers, method })
  return { hub, news: hub.channel('news'), opened, errors, ask }
}

/** Expects that a client that reconnects receives the events that it has missed, and each of them once. */
async function expectResume(
  news: Channel,
  ask: (headers?: Record<string, string>) => ReturnType<typeof get>,
) {
  const client = await ask()
  expect([client.status, client.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8'])
  await client.until(':\n')
  await news.publish({ data: 1 })
  await client.until('data: 1\n\n')
  client.disconnect()
  await news.publish({ data: 2 })
  const back = await ask({ 'last-event-id': parseEvents(client.body).at(-1)?.id ?? '' })
  await news.publish({ data: 3 })
  await back.until('data: 3\n\n')
  expect(parseEvents(back.body).map(({ data }) => data)).toEqual(['2', '3'])
}

describe('createSseStream in an event handler of h3 1', () => {
  it.each([
    ['404 to a held long poll', false, 404],
    ['the event to a held long poll if the handler sets _handled', true, 200],
  ])('responds with %s', async (_what, isHandled, status) => {
    const hub = new Hub()
    const handler = defineEventHandler((event) => {
      event._handled = isHandled
      const { req, res } = event.node
      hub.subscribe(createSseStream(req, res, { formats: ['event-stream', 'json'] }), 'news')
      setImmediate(() => hub.channel('news').publish({ data: 1 }))
    })
    const { port } = await serve(toNodeListener(createApp().use(handler)) as RequestListener)

    const client = await get('http', port, { headers: { accept: 'application/json' } })
    await client.ended

    expect([client.status, client.body.includes('"data":1')]).toEqual([status, isHandled])
  })

  it('streams events, and resumes a client with no gap and no duplicate', async () => {
    const { news, errors, ask } = await serveHub()
    await expectResume(news, ask)
    expect(errors).toEqual([])
  })

  it('closes the stream when the client disconnects (rule 34)', async () => {
    const { hub, opened, errors, ask } = await serveHub()
    const client = await ask()
    await client.until(':\n')
    const end = closed(opened[0] as SseStream)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect([hub.size, errors]).toEqual([0, []])
  })

  it.each([
    ['GET', { accept: 'text/event-stream;q=0' }, 406],
    ['HEAD', {}, 200],
  ])('responds to %s with %o with the status %d', async (method, headers, status) => {
    const { errors, ask } = await serveHub()
    const client = await ask(headers as Record<string, string>, method)
    expect(await client.ended).toBe('end')
    expect([client.status, errors]).toEqual([status, []])
  })

  it('lets h3 respond to an error before the stream is created, and keeps the stream open after one', async () => {
    const errors: string[] = []
    const app = createApp({ onError: ({ message }) => void errors.push(message) })
    app.use(
      defineEventHandler(async ({ path, node }) => {
        if (path === '/forbidden') throw createError({ statusCode: 403, message: 'forbidden' })
        const stream = createSseStream(node.req, node.res)
        await settled()
        stream.send({ data: 1 })
        throw createError({ statusCode: 500, message: 'later' })
      }),
    )
    const { port } = await serve(toNodeListener(app) as RequestListener)
    expect((await get('http', port, { path: '/forbidden' })).status).toBe(403)
    const client = await get('http', port)
    await client.until('data: 1\n\n')
    await expect.poll(() => errors).toEqual(['forbidden', 'later'])
    expect([client.status, client.body]).toEqual([200, expect.not.stringContaining('later')])
  })

  it('ends the stream when the hub shuts down', async () => {
    const { hub, ask } = await serveHub()
    const client = await ask()
    await client.until(':\n')
    await hub.shutdown()
    expect(await client.ended).toBe('end')
  })
})

describe('sse of spillway/web in a route of h3 2', () => {
  async function serveRoute() {
    const hub = new Hub()
    const opened: SseStream[] = []
    const streamNews = sse((stream) => {
      opened.push(stream)
      return hub.subscribe(stream, 'news')
    })
    const fails = sse(() => Promise.reject(new Error('no')))
    const app = new H3({ silent: true })
    app.get('/events', ({ req }) => streamNews(req)).get('/fails', ({ req }) => fails(req))
    const { port } = await serve(toNodeHandler(app) as RequestListener)
    const ask = (path = '/events', headers: Record<string, string> = {}, method = 'GET') =>
      get('http', port, { path, headers, method })
    return { hub, news: hub.channel('news'), opened, ask }
  }

  it('streams events, and resumes a client with no gap and no duplicate', async () => {
    const { news, ask } = await serveRoute()
    await expectResume(news, (headers) => ask('/events', headers))
  })

  it('closes the stream when the client disconnects (rule 34)', async () => {
    const { hub, opened, ask } = await serveRoute()
    const client = await ask()
    await client.until(':\n')
    const end = closed(opened[0] as SseStream)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect(hub.size).toBe(0)
  })

  it('responds to HEAD and to an error of the handler', async () => {
    const { opened, ask } = await serveRoute()
    const [head, failed] = [await ask('/events', {}, 'HEAD'), await ask('/fails')]
    expect([head.status, await head.ended, failed.status, opened]).toEqual([200, 'end', 500, []])
  })
})

// h3 1 pipes the body into the response, and neither aborts the request nor cancels the body.
it('a web handler of h3 1 is not closed when its client disconnects', async () => {
  const clock = holdClock()
  onTestFinished(() => clock.release())
  const opened = deferred<SseStream>()
  const isGone = deferred<void>()
  const handler = sse((stream) => {
    opened.resolve(stream as SseStream)
    stream.send({ data: 1 })
  })
  const listener = toNodeListener(createApp().use(fromWebHandler((request) => handler(request))))
  const { port } = await serve((request, response) => {
    response.once('close', isGone.resolve)
    void listener(request, response)
  })
  const client = await get('http', port)
  await client.until('data: 1\n\n')
  client.disconnect()
  await isGone.promise
  const stream = await opened.promise
  // An hour of heartbeats, each of which h3 reads and drops.
  for (let heartbeats = 0; heartbeats < 240; heartbeats++) {
    clock.advance(15_000)
    await settled()
  }
  expect(stream.closed).toBe(false)
  stream.destroy()
})
