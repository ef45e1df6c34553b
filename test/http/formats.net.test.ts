import { createServer, ServerResponse } from 'node:http'
import zlib from 'node:zlib'
import express, { type ErrorRequestHandler, type RequestHandler } from 'express'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { get, rawClient } from '../support/client.ts'
import { deferred, listen, listenForTest, type Protocol, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const POLL = '/?format=json'

describe.each<Protocol>(['http', 'h2c'])('createSseStream with formats over %s', (protocol) => {
  it('responds to a long poll with its length, and closes the stream', async () => {
    const opened = deferred<SseStream>()
    const { port } = await serve(
      (request, response) => opened.resolve(createSseStream(request, response, FORMATS)),
      protocol,
    )
    const pending = get(protocol, port, { path: POLL })
    const stream = await opened.promise
    const end = closed(stream)
    stream.send({ id: '7', data: { value: 1 } })
    const client = await pending
    expect(await client.ended).toBe('end')
    expect(client.headers['content-length']).toBe(String(client.body.length))
    expect(JSON.parse(client.body)).toEqual({
      events: [{ event: 'message', id: '7', data: { value: 1 } }],
      lastEventId: '7',
      retry: 0,
    })
    expect(await end).toMatchObject({ reason: 'poll' })
  })

  it('responds 406 with the formats', async () => {
    const reasons: unknown[] = []
    const { port } = await serve((request, response) => {
      reasons.push(createSseStream(request, response, FORMATS).closeReason)
    }, protocol)
    const client = await get(protocol, port, { path: '/?format=html' })
    await client.ended
    expect([client.status, client.body, reasons]).toEqual([
      406,
      'This resource is available as text/event-stream, application/x-ndjson, application/json ' +
        '(?format=event-stream, ndjson, json).\n',
      ['not-acceptable'],
    ])
  })

  it('serves a single format regardless of Accept, and refuses only that with weight 0 (rule 18)', async () => {
    const { port } = await serve((request, response) => {
      const stream = createSseStream(request, response, { formats: ['ndjson'] })
      if (!stream.closed) stream.send({ data: 1 })
      stream.close()
    }, protocol)
    for (const accept of ['*/*', 'text/event-stream', 'application/json']) {
      const client = await get(protocol, port, { headers: { accept } })
      await client.ended
      expect([client.headers['content-type'], client.headers.vary]).toEqual([
        'application/x-ndjson; charset=utf-8',
        undefined,
      ])
    }
    const refused = await get(protocol, port, { headers: { accept: 'application/x-ndjson;q=0' } })
    expect(refused.status).toBe(406)
  })
})

/** Requests a full page of a public channel. */
async function publicPage(
  middleware: RequestHandler = (_request, _response, next) => next(),
  options: SseHandlerOptions = {},
  headers: Record<string, string> = {},
) {
  const channel = new Hub().channel('news', { cache: 'public' })
  const ids: string[] = []
  for (let index = 0; index < 3; index++) ids.push(await channel.publish({ data: 'x'.repeat(1_000) }))
  const app = express().use(middleware)
  app.get(
    '/',
    sse((stream) => channel.subscribe(stream), { ...FORMATS, longPoll: { pageSize: 2 }, ...options }),
  )
  const { port } = await listen(app)
  const client = await get('http', port, { path: `${POLL}&lastEventId=${ids[0]}`, headers })
  await client.ended
  return { client, ids }
}

describe('the response to a long poll', () => {
  it('is public for a public channel', async () => {
    const { client } = await publicPage()
    expect(client.headers['cache-control']).toBe('public, max-age=31536000, immutable')
  })

  it('is cut when its stream is destroyed', async () => {
    const { port } = await serve((request, response) => createSseStream(request, response, FORMATS).destroy())
    await expect(get('http', port, { path: POLL })).rejects.toThrow('socket hang up')
  })

  it.each<[string, RequestHandler, SseHandlerOptions?]>([
    ['has decided so', (_request, response, next) => next(void response.set('Cache-Control', 'no-store'))],
    [
      'has decided so in the words of the library',
      (_request, response, next) => next(void response.set('Cache-Control', 'private, no-store')),
    ],
    ['has set a cookie', (_request, response, next) => next(void response.cookie('session', '1'))],
    [
      'sets a cookie with the response headers',
      (_request, response, next) => {
        const { writeHead } = response
        response.writeHead = (...args: unknown[]) => {
          response.cookie('session', '1')
          return writeHead.apply(response, args as never)
        }
        next()
      },
    ],
  ])('is private if an earlier middleware %s', async (_what, middleware) => {
    const { client } = await publicPage(middleware)
    expect(client.headers['cache-control']).toMatch(/^(private, )?no-store$/)
    expect(client.headers.etag).toBeUndefined()
  })

  it('is private if the route sets the header Cache-Control', async () => {
    const headers = { 'cache-control': 'private, no-store' }
    const { client } = await publicPage(undefined, { headers })
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it('is private if the stream has a replay of its own', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const { port } = await serve((request, response) => {
      const options = { ...FORMATS, replay: () => [], longPoll: { pageSize: 2 } }
      channel.subscribe(createSseStream(request, response, options))
      for (let data = 0; data < 3; data++) void channel.publish({ data })
    })
    const client = await get('http', port, { path: `${POLL}&lastEventId=7` })
    await client.ended
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it('is private if the request is authorized', async () => {
    const { client } = await publicPage(undefined, {}, { authorization: 'Bearer 1' })
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it('is private if a cookie is set while it is compressed', async () => {
    const { gzip } = zlib
    let setCookie = () => {}
    const spy = vi.spyOn(zlib, 'gzip').mockImplementation(((...args: Parameters<typeof gzip>) => {
      setCookie()
      return gzip(...args)
    }) as never)
    onTestFinished(() => spy.mockRestore())
    const middleware: RequestHandler = (_request, response, next) => {
      setCookie = () => void response.cookie('session', '1')
      next()
    }
    const { client } = await publicPage(middleware, {}, { 'accept-encoding': 'gzip' })
    expect(client.headers).toMatchObject({ 'content-encoding': 'gzip', 'set-cookie': [expect.any(String)] })
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it.each([(tag: string) => `"another", ${tag}`, (tag: string) => tag.replace('W/', ''), () => '*'])(
    'is a 304 if the client has it (%s)',
    async (ifNoneMatch) => {
      const channel = new Hub().channel('news', { cache: 'public' })
      const ids = await Promise.all([1, 2, 3].map((data) => channel.publish({ data })))
      const { port } = await serve((request, response) => {
        channel.subscribe(createSseStream(request, response, { ...FORMATS, longPoll: { pageSize: 2 } }))
      })
      const headers = { 'if-none-match': ifNoneMatch(`W/"${ids[0]}%20${ids[2]}"`) }
      const client = await get('http', port, { path: `${POLL}&lastEventId=${ids[0]}`, headers })
      expect([client.status, client.headers.vary]).toEqual([304, 'Accept-Encoding'])
    },
  )

  it('is a 304 on a server that rejects non-standard bodies', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const ids = await Promise.all([1, 2, 3].map((data) => channel.publish({ data })))
    const server = createServer({ rejectNonStandardBodyWrites: true }, (request, response) => {
      channel.subscribe(createSseStream(request, response, { ...FORMATS, longPoll: { pageSize: 2 } }))
    })
    const { port } = await listenForTest(server)
    const headers = { 'if-none-match': '*' }
    const client = await get('http', port, { path: `${POLL}&lastEventId=${ids[0]}`, headers })
    expect([client.status, await client.ended]).toEqual([304, 'end'])
  })

  const failing: RequestHandler = (_request, response, next) => {
    response.writeHead = () => {
      response.writeHead = ServerResponse.prototype.writeHead as never
      throw new Error('no headers')
    }
    next()
  }

  it('has no length if the application has set Transfer-Encoding (RFC 9112 6.2)', async () => {
    const { port } = await serve((request, response) => {
      response.setHeader('Transfer-Encoding', 'chunked')
      const stream = createSseStream(request, response, { formats: ['event-stream', 'json'] })
      stream.send({ data: 1 })
      stream.close()
    })
    const client = rawClient(port, 'GET /?format=json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/\r\ntransfer-encoding: chunked\r\n/i)
    expect(client.body).not.toMatch(/content-length/i)
  })

  it('is cut when a middleware fails in writeHead', async () => {
    const { port } = await serve((request, response) => {
      failing(request as never, response as never, () => {})
      createSseStream(request, response, FORMATS).close()
    })
    await expect(get('http', port, { path: POLL })).rejects.toThrow('socket hang up')
  })

  it('is the error response of the framework when a middleware fails in writeHead', async () => {
    const app = express().use(failing)
    app.get(
      '/',
      sse((stream) => stream.close(), FORMATS),
    )
    const onError: ErrorRequestHandler = (error, _request, response, _next) => {
      response.status(500).end(error.message)
    }
    const { port } = await listen(app.use(onError))
    const client = await get('http', port, { path: POLL })
    await client.ended
    expect([client.status, client.body]).toEqual([500, 'no headers'])
  })

  it('is empty after the time for which it is held', async () => {
    const channel = new Hub().channel('news')
    const id = await channel.publish({ data: 1 })
    const { port } = await serve((request, response) => {
      channel.subscribe(createSseStream(request, response, { ...FORMATS, longPoll: { hold: 1_000 } }))
    })
    const client = await get('http', port, { path: `${POLL}&lastEventId=${id}` })
    await client.ended
    expect(JSON.parse(client.body)).toEqual({ events: [], lastEventId: id, retry: 0 })
  })

  it.each([[['json']], [['event-stream', 'json']]] as const)(
    'is held for the time in the query, up to the limit of a route with the formats %j',
    async (formats) => {
      using time = holdClock()
      const channel = new Hub().channel('news')
      const streams: SseStream[] = []
      const { port } = await serve((request, response) => {
        const stream = createSseStream(request, response, { formats, longPoll: { hold: 10_000 } })
        streams.push(stream)
        channel.subscribe(stream)
      })
      const poll = async (hold: string) => {
        const client = await get('http', port, { path: `/?format=json&${hold}` })
        await client.ended
        return JSON.parse(client.body).events
      }
      expect(await poll('hold=0')).toEqual([])
      const shortest = poll('hold=2000')
      const invalid = [
        'hold=-1',
        'hold=NaN',
        'hold=1e3',
        'hold=',
        'hold=99999999999999999999',
        'Hold=0',
        'hold=20000',
      ]
      const repeated = 'hold=30000&hold=0&format=json'
      const others = [...invalid, repeated].map(poll)
      await expect.poll(() => streams.length).toBe(3 + invalid.length)
      time.advance(2_100)
      expect(await shortest).toEqual([])
      await expect.poll(() => streams.filter(({ closed }) => !closed).length).toBe(invalid.length + 1)
      time.advance(8_000)
      expect(await Promise.all(others)).toEqual(others.map(() => []))
    },
  )

  it('is not longer than a page when a client has missed more', async () => {
    const channel = new Hub().channel('news')
    const ids = []
    for (let index = 0; index < 5_000; index++) ids.push(await channel.publish({ data: 'x'.repeat(100) }))
    const { port } = await serve((request, response) => {
      channel.subscribe(createSseStream(request, response, FORMATS))
    })
    const received: string[] = []
    for (let cursor = ids[0]; cursor !== ids.at(-1); ) {
      const client = await get('http', port, { path: `${POLL}&lastEventId=${cursor}` })
      await client.ended
      const { events, lastEventId } = JSON.parse(client.body)
      expect(events.length).toBeLessThan(1_500)
      for (const { id } of events) received.push(id)
      cursor = lastEventId
    }
    expect(received).toEqual(ids.slice(1))
  })

  it('ends a page of missed events at 256 KiB', async () => {
    const channel = new Hub().channel('news')
    const first = await channel.publish({ data: 0 })
    for (let index = 0; index < 20; index++) await channel.publish({ data: 'x'.repeat(100_000) })
    const { port } = await serve((request, response) => {
      channel.subscribe(createSseStream(request, response, FORMATS))
    })
    const client = await get('http', port, { path: `${POLL}&lastEventId=${first}` })
    await client.ended
    const { events, lastEventId } = JSON.parse(client.body)
    // The third event reaches the limit.
    expect([events.length, lastEventId]).toEqual([3, events.at(-1).id])
  })

  it('encodes each entry once for all polls and NDJSON streams', async () => {
    let encoded = 0
    const channel = new Hub({
      serialize: () => {
        encoded += 1
        return '{}'
      },
    }).channel('news')
    const opened: SseStream[] = []
    const { port } = await serve((request, response) => {
      const stream = createSseStream(request, response, FORMATS)
      channel.subscribe(stream)
      opened.push(stream)
    })
    const clients = [POLL, POLL, '/?format=ndjson', '/?format=event-stream'].map((path) =>
      get('http', port, { path }),
    )
    await expect.poll(() => opened.length).toBe(4)
    await channel.publish({ data: { any: 'data' } })
    for (const client of await Promise.all(clients)) await client.until('{}')
    expect(encoded).toBe(1)
  })
})
