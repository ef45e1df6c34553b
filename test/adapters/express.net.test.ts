import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import { Hub } from '../../src/hub/hub.ts'
import { openChannel } from '../../src/stream/diagnostics.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { Client, type Get, get, rawClient } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, listen, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import { type AdapterUnderTest, type AnyHandler, adapterContract, type ContractRequest } from './contract.ts'

function adapter(name: string, framework: typeof express): AdapterUnderTest {
  return {
    name,
    sse,
    passesOn: true,
    keepsEarlierHeaders: true,
    cutsBody: true,
    async serve(handler, options) {
      const errors: unknown[] = []
      const app = framework()
      app.use((_request, response, next) => {
        response.cookie('earlier', '1')
        next()
      })
      app.all('/stream', framework.text({ type: '*/*' }), handlerOf(handler, options))
      app.all('/stream', (_request, response) => void response.json({ json: true }))
      app.use(noting(errors))
      return { ...(await listen(app)), errors }
    },
  }
}

const handlerOf = (handler: AnyHandler, options: object | undefined) =>
  sse((stream, request, response) => {
    const respond: ContractRequest['respond'] = (status, headers, body) =>
      response.status(status).set(headers).json(body)
    return handler(stream, { body: () => request.body, respond }) as never
  }, options)

/** The last middleware of an application. Records errors and responds to them. */
function noting(errors: unknown[]): ErrorRequestHandler {
  return (error, _request, response, next) => {
    errors.push(error)
    if (response.headersSent) next(error)
    else response.status(500).json({ error: 'sorry' })
  }
}

const frameworks: ReadonlyArray<readonly [name: string, framework: typeof express]> = [
  ['Express 5', express],
  // Only the types of Express 5 are installed.
  ['Express 4', createRequire(import.meta.url)('express-4') as typeof express],
]

for (const [name, framework] of frameworks) adapterContract(adapter(name, framework))

const json = { headers: { accept: '*/*' } }
const events = { headers: { accept: 'text/event-stream' } }

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe.each(frameworks)('%s', (_name, framework) => {
  /** Serves an application on a free port and records the errors that reach its error handling. */
  async function serveApp(route: (app: Express) => unknown) {
    const errors: unknown[] = []
    const app = framework()
    // Keeps the error output of Express out of the test log.
    app.set('env', 'test')
    route(app)
    app.use(noting(errors))
    const { port } = await serve(app)
    return { port, errors, ask: (path: string, ask: Get = {}) => get('http', port, { path, ...ask }) }
  }

  describe('a mounted handler', () => {
    it.each(['/rooms', '/rooms/', '/rooms/below/it?and=more'])(
      'serves the paths below that of app.use: %s',
      async (path) => {
        const { ask } = await serveApp((app) =>
          app.use(
            '/rooms',
            sse((stream, request) => stream.send({ data: request.baseUrl })),
          ),
        )
        await (await ask(path)).until('data: /rooms\n\n')
      },
    )

    it('serves every path with app.use without a path', async () => {
      const { ask } = await serveApp((app) => app.use(sse((stream, { path }) => stream.send({ data: path }))))
      await (await ask('/any/where')).until('data: /any/where\n\n')
    })

    it('reads the route parameters of a Router', async () => {
      const { ask } = await serveApp((app) => {
        const rooms = framework.Router({ mergeParams: true })
        rooms.get(
          '/:room',
          sse((stream, { params }) => stream.send({ data: `${params.house}/${params.room}` })),
        )
        app.use('/houses/:house', rooms)
      })
      await (await ask('/houses/red/attic')).until('data: red/attic\n\n')
    })

    it.each(['GET', 'POST', 'PUT', 'DELETE'])('serves %s with app.all', async (method) => {
      const { ask } = await serveApp((app) =>
        app.all(
          '/',
          sse((stream, request) => stream.send({ data: request.method })),
        ),
      )
      await (await ask('/', { method })).until(`data: ${method}\n\n`)
    })

    it('serves GET and HEAD, but no other method, with app.get', async () => {
      const { ask } = await serveApp((app) =>
        app.get(
          '/',
          sse(() => {}),
        ),
      )
      const head = await ask('/', { method: 'HEAD' })
      expect(await head.ended).toBe('end')
      expect(head.headers['content-type']).toContain('text/event-stream')
      expect((await ask('/', { method: 'POST' })).status).toBe(404)
    })

    it('sees the data that a middleware put on the request', async () => {
      const { ask } = await serveApp((app) => {
        app.use((_request, response, next) => {
          response.locals.user = 'reader'
          next()
        })
        app.get(
          '/',
          sse((stream, _request, response) => stream.send({ data: response.locals.user })),
        )
      })
      await (await ask('/')).until('data: reader\n\n')
    })
  })

  describe('a path that serves a stream and JSON', () => {
    const serveBoth = () =>
      serveApp((app) => {
        app.get(
          '/',
          sse((stream) => stream.send({ data: 'first' }), { negotiate: true }),
          sse((stream) => stream.send({ data: 'second' }), { negotiate: true }),
        )
        app.get('/', (_request, response) => void response.json(['json']))
      })

    it('sends events to clients that name them, from the first handler only', async () => {
      const { ask, errors } = await serveBoth()
      const client = await ask('/', events)
      await client.until('data: first\n\n')
      await nextTurn()
      expect(client.body).not.toContain('second')
      expect(errors).toEqual([])
    })

    it('sends JSON with Vary to other clients (rule 18)', async () => {
      const { ask } = await serveBoth()
      const client = await ask('/', json)
      expect(await client.ended).toBe('end')
      expect([client.status, client.body]).toEqual([200, '["json"]'])
      expect(client.headers.vary).toBe('Accept')
    })
  })

  describe('a handler that sends its own response', () => {
    it.each<[number, string, (response: express.Response) => unknown]>([
      [401, '{"error":"who?"}', (response) => response.status(401).json({ error: 'who?' })],
      [401, '', (response) => response.status(401).end()],
      [403, 'Forbidden', (response) => response.sendStatus(403)],
      [204, '', (response) => response.sendStatus(204)],
      [302, '', (response) => response.redirect('/login')],
    ])('sends %d %s', async (status, body, respond) => {
      const reason = deferred<unknown>()
      const { ask, errors } = await serveApp((app) =>
        app.get(
          '/',
          sse(async (stream, _request, response) => {
            stream.once('close', reason.resolve)
            await undefined
            respond(response)
          }),
        ),
      )
      const client = await ask('/')
      expect(client.status).toBe(status)
      expect(client.headers['content-type'] ?? '').not.toContain('event-stream')
      expect(await client.ended).toBe('end')
      expect(client.body).toContain(body)
      expect(await reason.promise).toBe('server')
      expect(errors).toEqual([])
    })
  })

  describe('sse of spillway/express', () => {
    it('passes ERR_SSE_HEADERS_SENT to next when headers were already sent', async () => {
      const { ask, errors } = await serveApp((app) => {
        app.use('/late', (_request, response, next) => {
          response.write('too early')
          next()
        })
        app.use(sse((stream) => stream.send({ data: 'whole' })))
      })
      const client = await ask('/late')
      expect(await client.ended).toBe('cut')
      expect(errors).toEqual([code('ERR_SSE_HEADERS_SENT')])
      await (await ask('/')).until('data: whole\n\n')
    })

    it('passes ERR_SSE_RESPONSE to next when the response has ended, and does not change it', async () => {
      const nextError = deferred<unknown>()
      const { port } = await serve((request, response) => {
        response.end('done')
        sse(() => expect.unreachable())(
          request as express.Request,
          response as express.Response,
          nextError.resolve,
        )
      })
      const client = await get('http', port)
      expect(await nextError.promise).toEqual(code('ERR_SSE_RESPONSE'))
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('done')
    })

    it('passes ERR_SSE_REQUEST to next for a web Request', async () => {
      const nextError = deferred<unknown>()
      const { port } = await serve((_request, response) => {
        const request = new Request('http://localhost/') as unknown as express.Request
        sse(() => expect.unreachable())(request, response as express.Response, nextError.resolve)
        response.end()
      })
      await get('http', port)
      expect(await nextError.promise).toEqual(code('ERR_SSE_REQUEST'))
    })
  })

  describe('a client that disconnects during a middleware', () => {
    it('causes no handler call and leaves no listeners (rule 29)', async () => {
      const opened: unknown[] = []
      const note = (message: unknown) => opened.push(message)
      subscribe(String(openChannel.name), note)
      onTestFinished(() => void unsubscribe(String(openChannel.name), note))

      const hub = new Hub()
      const arrived = deferred<express.Response>()
      const handled = deferred<void>()
      const { port, errors } = await serveApp((app) => {
        app.use(async (_request, response, next) => {
          arrived.resolve(response)
          await once(response, 'close')
          next()
          await nextTurn()
          handled.resolve()
        })
        app.use(sse((stream) => hub.subscribe(stream, ['news'])))
        app.use(() => expect.unreachable())
      })
      const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      const response = await arrived.promise
      const listeners = response.listenerCount('close')
      client.disconnect()
      await handled.promise
      expect(opened).toEqual([])
      expect(hub.size).toBe(0)
      expect(errors).toEqual([])
      expect(response.headersSent).toBe(false)
      // The `once` listener of the test was removed.
      expect(response.listenerCount('close')).toBe(listeners - 1)
    })
  })

  describe('errors of a handler', () => {
    it('are passed to next once', async () => {
      const seen: unknown[] = []
      const failure = new Error('of the handler')
      const { port } = await serve(async (request, response) => {
        const handler = sse(() => {
          throw failure
        })
        await handler(request as express.Request, response as express.Response, (error) => seen.push(error))
        await nextTurn()
        response.end()
      })
      await (await get('http', port)).ended
      expect(seen).toEqual([failure])
    })

    it('are passed to next once when the headers cannot be sent and the handler fails too', async () => {
      const seen: unknown[] = []
      const failure = new Error('of the head')
      const { port } = await serve(async (request, response) => {
        response.writeHead = () => {
          throw failure
        }
        const handler = sse(async (stream) => {
          await once(stream, 'close')
          throw new Error('of the handler')
        })
        await handler(request as express.Request, response as express.Response, (error) => seen.push(error))
        response.destroy()
      })
      await expect(get('http', port)).rejects.toThrow('socket hang up')
      expect(seen).toEqual([failure])
    })

    it('cause a 500 before the headers, and a cut body after them, without an error handler', async () => {
      const app = framework()
      app.set('env', 'test')
      app.get(
        '/early',
        sse(() => Promise.reject(new Error('of the handler'))),
      )
      app.get(
        '/late',
        sse(async () => {
          await nextTurn()
          throw new Error('of the handler')
        }),
      )
      const { port } = await serve(app)
      const early = await get('http', port, { path: '/early' })
      expect(early.status).toBe(500)
      expect(await early.ended).toBe('end')
      const late = await get('http', port, { path: '/late' })
      expect(late.status).toBe(200)
      expect(await late.ended).toBe('cut')
      expect(late.body).not.toContain('of the handler')
    })

    // A session, cookie or header that cannot be written fails when the headers are sent.
    it('include those that a middleware throws when the headers are sent', async () => {
      const failure = new Error('no cookie can be made of it')
      const reason = deferred<unknown>()
      const { ask, errors } = await serveApp((app) => {
        app.use((_request, response, next) => {
          const { writeHead } = response
          response.writeHead = () => {
            response.writeHead = writeHead
            throw failure
          }
          next()
        })
        app.get(
          '/',
          sse((stream) => void stream.once('close', reason.resolve)),
        )
      })
      const client = await ask('/')
      expect(client.status).toBe(500)
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('{"error":"sorry"}')
      expect(errors).toEqual([failure])
      expect(await reason.promise).toBe('error')
    })
  })

  describe('the connection of a stream', () => {
    const serveAll = () =>
      serveApp((app) => {
        app.get('/json', (_request, response) => void response.json({ n: 1 }))
        app.get('/406', (_request, response) => void response.sendStatus(406))
        app.get(
          '/words',
          sse(() => ['to', 'be']),
          (_request, response) => void response.sendStatus(406),
        )
        app.get(
          '/open',
          sse((stream) => stream.send({ data: 'open' })),
        )
      })

    const line = (path: string, accept = 'text/event-stream') =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\n\r\n`

    it('ends the body on HTTP/1.0 (rule 15)', async () => {
      const { port } = await serveAll()
      const client = rawClient(port, 'GET /words HTTP/1.0\r\n\r\n')
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(client.body).not.toMatch(/transfer-encoding/i)
      expect(client.body).toMatch(/\r\n\r\n:\nretry: \d+\n: heartbeat \d+\ndata: to\n\ndata: be\n\n$/)
    })

    it('is reused after a 406, a JSON response and a stream that ended', async () => {
      const { port } = await serveAll()
      const requests = [line('/words', 'text/event-stream;q=0'), line('/json'), line('/words'), line('/open')]
      const answers = [/ 406 /, /\{"n":1\}$/, /data: be\n\n\r\n0\r\n\r\n$/, /data: open\n\n\r\n$/]
      const socket = connect(port, '127.0.0.1')
      const client = new Client(0, {}, socket, () => socket.destroy())
      for (const [index, answer] of answers.entries()) {
        socket.write(requests[index] ?? '')
        await client.until((body) => answer.test(body))
      }
      expect(client.body.match(/HTTP\/1\.1 \d+/g)).toEqual([406, 200, 200, 200].map((n) => `HTTP/1.1 ${n}`))
    })

    it('sends the responses to pipelined requests in order', async () => {
      const { port } = await serveAll()
      const all = line('/words') + line('/406') + line('/json') + line('/words') + line('/open')
      const client = rawClient(port, all)
      await client.until('data: open\n\n')
      expect(client.body.match(/HTTP\/1\.1 \d+|\{"n":1\}|data: \w+/g)).toEqual([
        ...['HTTP/1.1 200', 'data: to', 'data: be'],
        'HTTP/1.1 406',
        ...['HTTP/1.1 200', '{"n":1}'],
        ...['HTTP/1.1 200', 'data: to', 'data: be'],
        ...['HTTP/1.1 200', 'data: open'],
      ])
    })
  })

  it('closes the streams of all pipelined requests when the client disconnects', async () => {
    const ends: Array<Promise<unknown>> = []
    const all = deferred<void>()
    const { port } = await serveApp((app) =>
      app.get(
        '/',
        sse((stream) => {
          ends.push(closed(stream))
          if (ends.length === 3) all.resolve()
        }),
      ),
    )
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3))
    await all.promise
    await client.until(':\n')
    client.disconnect()
    expect(await Promise.all(ends)).toEqual(Array(3).fill({ reason: 'client', error: undefined }))
  })

  it('closes only the stream of the client that disconnects', async () => {
    const streams: SseStream[] = []
    const { ask } = await serveApp((app) =>
      app.get(
        '/',
        sse((stream) => {
          streams.push(stream)
          stream.send({ data: 1 })
        }),
      ),
    )
    const clients = await Promise.all([ask('/'), ask('/')])
    for (const client of clients) await client.until('data: 1\n\n')
    const [left, stays] = clients
    const ends = streams.map((stream) => closed(stream))
    left?.disconnect()
    expect(await Promise.race(ends)).toMatchObject({ reason: 'client' })
    for (const stream of streams) stream.send({ data: 2 })
    await stays?.until('data: 2\n\n')
    expect(parseEvents(stays?.body ?? '').map(({ data }) => data)).toEqual(['1', '2'])
  })
})

describe('the types of spillway/express', () => {
  it('pass the request and the response of Express to the handler', () => {
    const handler = sse((_stream, request, response) => {
      expectTypeOf(request).toEqualTypeOf<express.Request>()
      expectTypeOf(response).toEqualTypeOf<express.Response>()
    })
    expectTypeOf(handler).toEqualTypeOf<RequestHandler>()
    express().get('/rooms/:room', handler)
  })

  it('accept a handler whose request has types of its own', () => {
    const app = express()
    type Ask = express.Request<{ room: string }, unknown, { text: string }>
    const say = sse(
      async function* (_stream, { params, body }: Ask) {
        yield { data: params.room.concat(body.text) }
      },
      { authorize: ({ request }) => request.params.room.length > 0 },
    )
    app.post('/rooms/:room', express.json(), say)
    app.get<{ room: string }>(
      '/rooms/:room',
      sse((stream, { params }) => stream.send({ data: params.room.length })),
    )
    // @ts-expect-error: the route has no such parameter.
    sse((stream, { params }: Ask) => stream.send({ data: params.user }))
  })

  it('check the name and data of an event as a pair', () => {
    interface Prices {
      price: { value: number }
    }
    sse<Prices>((stream) => stream.send({ event: 'price', data: { value: 1 } }))
    // @ts-expect-error: a price is an object.
    sse<Prices>((stream) => stream.send({ event: 'price', data: 1 }))
    // @ts-expect-error: the stream has no such event.
    sse<Prices>(() => [{ event: 'halt', data: { value: 1 } }])
  })
})
