import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { Http2ServerResponse } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import Koa, { type Context, type Middleware } from 'koa'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/koa.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Get, get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import { adapterContract, type ContractRequest } from './contract.ts'

/** Serves a Koa application with these middlewares. */
async function serveKoa(middlewares: readonly Middleware[], protocol: Protocol = 'http') {
  const errors: unknown[] = []
  const app = new Koa()
  for (const middleware of middlewares) app.use(middleware)
  app.on('error', (error) => errors.push(error))
  const { server, port } = await serve(app.callback() as Handler, protocol)
  return { app, errors, port, close: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}

adapterContract({
  name: 'Koa 3',
  sse,
  passesOn: true,
  keepsEarlierHeaders: true,
  cutsBody: true,
  serve: (handler, options) =>
    serveKoa([
      (context, next) => {
        context.cookies.set('earlier', '1')
        return next()
      },
      sse((stream, context) => {
        const respond: ContractRequest['respond'] = (status, headers, body) => {
          context.status = status
          context.set(headers)
          context.body = body
        }
        return handler(stream, { body: () => text(context.req), respond }) as never
      }, options),
      (context) => {
        context.body = { json: true }
      },
    ]),
})

describe('sse of spillway/koa', () => {
  async function open(middlewares: readonly Middleware[], ask: Get = {}, protocol: Protocol = 'http') {
    const served = await serveKoa(middlewares, protocol)
    return { ...served, client: await get(protocol, served.port, ask) }
  }

  it('passes the stream and the context, with its state, to the handler', async () => {
    const { client } = await open([
      (context, next) => {
        context.state.user = 'editor'
        return next()
      },
      sse((stream, context) => stream.send({ data: `${context.state.user} on ${context.path}` })),
    ])
    await client.until('data: editor on /\n\n')
  })

  it('sends headers that an earlier middleware sets before and after the handler', async () => {
    const { client } = await open([
      async (context, next) => {
        context.set('X-Before', 'kept')
        context.vary('Origin')
        context.type = 'json'
        context.length = 7
        await next()
        context.set('X-After', 'kept too')
      },
      sse((stream) => void stream),
    ])
    await client.until(':\n')
    expect(client.headers).toMatchObject({
      'x-before': 'kept',
      'x-after': 'kept too',
      vary: 'Origin',
      'content-type': 'text/event-stream; charset=utf-8',
    })
    expect(client.headers).not.toHaveProperty('content-length')
  })

  it('sends the status message of the application', async () => {
    for (const handler of [() => {}, (stream: SseStream) => stream.close()]) {
      const own: Middleware = (context, next) => {
        context.status = 200
        context.message = 'Streaming'
        return next()
      }
      const { port } = await serveKoa([own, sse(handler)])
      const [response] = (await once(request({ port }).end(), 'response')) as [IncomingMessage]
      response.destroy()
      expect(response.statusMessage).toBe('Streaming')
    }
  })

  it.each<[string, Middleware]>([
    [
      'sets a body before',
      (context, next) => {
        context.body = 'default'
        return next()
      },
    ],
    [
      'reads the body after',
      async (context, next) => {
        await next()
        if (!context.body) context.status = 404
      },
    ],
    [
      'bypasses Koa',
      (context, next) => {
        context.respond = false
        return next()
      },
    ],
  ])('responds to HEAD as to GET behind a middleware that %s', async (_what, middleware) => {
    const { client } = await open([middleware, sse(() => {})], { method: 'HEAD' })
    expect(client.status).toBe(200)
    expect(client.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(client.headers).not.toHaveProperty('content-length')
  })

  it('sends headers that an earlier middleware sets after the handler in the response to HEAD', async () => {
    const late: Middleware = async (context, next) => {
      await next()
      await nextTurn()
      context.cookies.set('late', '1')
    }
    const { client, errors } = await open([late, sse(() => {})], { method: 'HEAD' })
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'set-cookie': [expect.stringContaining('late=1')],
    })
    expect(errors).toEqual([])
  })

  it.each<[string, Middleware[]]>([
    [
      'an earlier middleware',
      [
        (context, next) => {
          context.status = 202
          return next()
        },
      ],
    ],
    [
      'an earlier middleware after the handler',
      [
        async (context, next) => {
          await next()
          if (!context.body) context.status = 404
        },
      ],
    ],
    ['no middleware', []],
  ])('sends its own status line over that of %s', async (_whom, middlewares) => {
    for (const handler of [() => {}, (stream: SseStream) => stream.close()]) {
      const { port } = await serveKoa([...middlewares, sse(handler)])
      const [response] = (await once(request({ port }).end(), 'response')) as [IncomingMessage]
      response.destroy()
      expect([response.statusCode, response.statusMessage]).toEqual([200, 'OK'])
    }
  })

  it.each<[string, Get, Middleware, number]>([
    ['an open stream', {}, sse(() => {}), 200],
    ['a stream that has sent an event', {}, sse((stream) => stream.send({ data: 1 })), 200],
    ['a stream with its own status', {}, sse(() => {}, { status: 299 }), 299],
    ['a closed stream', {}, sse(() => [{ data: 1 }]), 200],
    ['HEAD', { method: 'HEAD' }, sse(() => {}), 200],
    ['a handler that sends its own response', {}, sse((_, { res }) => void res.writeHead(204).end()), 204],
    ['no middleware', { headers: { accept: 'text/event-stream;q=0' } }, sse(() => {}), 404],
  ])('lets a logger read the status of %s', async (_whose, ask, middleware, status) => {
    const seen: number[] = []
    const { client } = await open(
      [
        async (context, next) => {
          await next()
          seen.push(context.status)
        },
        middleware,
      ],
      ask,
    )
    expect(client.status).toBe(status)
    if (ask.method !== 'HEAD' && status < 300 && status !== 204) await client.until(':\n')
    expect(seen).toEqual([status])
  })

  it.each<[string, (context: Context) => unknown, number, string]>([
    ['a body', (context) => Object.assign(context, { status: 401, body: 'not for you' }), 401, 'not for you'],
    ['a status', (context) => Object.assign(context, { status: 403 }), 403, 'Forbidden'],
    ['a redirect', (context) => context.redirect('/login'), 302, 'Redirecting to /login.'],
  ])('lets Koa respond when the handler sets %s on the context', async (_what, set, status, body) => {
    const end = deferred<unknown>()
    const { client, errors } = await open([
      sse((stream, context) => {
        void closed(stream).then(end.resolve)
        set(context)
      }),
    ])
    expect(await client.ended).toBe('end')
    expect([client.status, client.body]).toEqual([status, body])
    expect(client.headers['content-type']).not.toContain('event-stream')
    expect(await end.promise).toEqual({ reason: 'server', error: undefined })
    expect(errors).toEqual([])
  })

  it('sends the stream if the handler sets a body on the context after the headers are sent', async () => {
    const { client } = await open([
      sse(async (stream, context) => {
        await nextTurn()
        context.body = 'too late'
        stream.close()
      }),
    ])
    expect(await client.ended).toBe('end')
    expect([client.status, client.body]).toEqual([
      200,
      expect.stringMatching(/^:\nretry: \d+\n: heartbeat \d+\n$/),
    ])
  })

  it('lets Koa respond to an error of the handler and emit it once', async () => {
    const { client, errors } = await open([sse((_stream, context) => context.throw(403, 'not for you'))])
    expect(client.status).toBe(403)
    await client.ended
    expect(client.body).toBe('not for you')
    expect(errors).toEqual([expect.objectContaining({ status: 403 })])
  })

  it('lets an earlier middleware respond to an error of the handler', async () => {
    const { client, errors } = await open([answerErrors(() => {}), sse(() => fail())])
    expect(client.status).toBe(418)
    await client.ended
    expect(client.body).toBe('sorry')
    expect(errors).toEqual([])
  })

  it('lets Koa respond to an error that an earlier middleware throws when the headers are sent', async () => {
    const { client, errors } = await open([
      (context, next) => {
        const { writeHead } = context.res
        context.res.writeHead = () => {
          context.res.writeHead = writeHead
          fail()
        }
        return next()
      },
      sse(() => {}),
    ])
    expect(client.status).toBe(500)
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('Internal Server Error')
    expect(errors).toEqual([expect.objectContaining({ message: 'secret of the application' })])
  })

  it.each<Protocol>(['http', 'h2c'])(
    'writes no response of Koa into a stream whose handler fails over %s',
    async (protocol) => {
      const caught = deferred<Caught>()
      const ready = deferred<void>()
      const middlewares = [
        answerErrors(caught.resolve),
        sse(async function* () {
          yield { data: 'first' }
          await ready.promise
          fail()
        }),
      ]
      const { client, errors } = await open(middlewares, {}, protocol)
      await client.until('data: first\n\n')
      ready.resolve()
      expect(await caught.promise).toEqual({
        error: expect.objectContaining({ message: 'secret of the application' }),
        respond: false,
      })
      expect(await client.ended).toBe('cut')
      expect(client.body).toMatch(/^:\nretry: \d+\n: heartbeat \d+\ndata: first\n\n$/)
      expect(errors).toEqual([])
    },
  )

  it('writes no response of Koa into a stream that an earlier middleware does not await', async () => {
    const impatient = deferred<void>()
    const answered = deferred<void>()
    const goOn = deferred<void>()
    const { client, errors } = await open([
      async (context, next) => {
        await Promise.race([next(), impatient.promise])
        context.status = 504
        context.body = 'too late'
        // Koa would have responded by the end of this turn.
        setImmediate(answered.resolve)
      },
      sse(async function* () {
        yield { data: 1 }
        await goOn.promise
        yield { data: 2 }
      }),
    ])
    await client.until('data: 1\n\n')
    impatient.resolve()
    await answered.promise
    goOn.resolve()
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/^:\nretry: \d+\n: heartbeat \d+\ndata: 1\n\ndata: 2\n\n$/)
    expect(errors).toEqual([])
  })

  it('sends the stream when an earlier middleware has not awaited its authorization', async () => {
    const impatient: Middleware = (context, next) => {
      void next()
      context.status = 504
    }
    const authorize = async () => {
      // Koa would have responded by the end of this turn.
      await nextTurn()
      return true
    }
    const { client } = await open([impatient, sse(() => [{ data: 1 }], { authorize })])
    expect(await client.ended).toBe('end')
    expect([client.status, client.body]).toEqual([200, expect.stringContaining('data: 1\n\n')])
  })

  it('calls the next middleware when the client refuses event streams', async () => {
    const contexts: Context[] = []
    const { client, errors } = await open(
      [
        sse(() => {}),
        (context) => {
          contexts.push(context)
          context.respond = false
          fail()
        },
      ],
      { headers: { accept: 'text/event-stream;q=0' } },
    )
    expect(client.status).toBe(500)
    expect(contexts[0]?.respond).toBe(false)
    expect(errors).toHaveLength(1)
  })

  it.each<Protocol>(['http', 'h2c'])(
    'reports no error when a connection breaks over %s (rule 34)',
    async (protocol) => {
      const made = deferred<SseStream>()
      const broken = deferred<unknown>()
      const { errors, port } = await serveKoa(
        [
          sse((stream, context) => {
            context.req.socket.on('error', broken.resolve).on('close', () => broken.resolve(undefined))
            made.resolve(stream)
            return stream.send({ data: 1 })
          }),
        ],
        protocol,
      )
      if (protocol === 'http') await reset(port)
      else {
        const client = await get(protocol, port)
        await client.until('data: 1\n\n')
        client.disconnect()
      }
      const stream = await made.promise
      if (!stream.closed) await closed(stream)
      const error = await broken.promise
      if (protocol === 'http') expect(error).toMatchObject({ code: 'ECONNRESET' })
      expect(stream.closeReason).toBe('client')
      await nextTurn()
      expect(errors).toEqual([])
    },
  )

  it('reports an error of the handler after the client has disconnected', async () => {
    const { app, errors, client } = await open([
      sse(async (stream) => {
        stream.send({ data: 1 })
        await closed(stream)
        fail()
      }),
    ])
    await client.until('data: 1\n\n')
    const told = once(app, 'error')
    client.disconnect()
    await told
    expect(errors).toEqual([expect.objectContaining({ message: 'secret of the application' })])
  })

  it('sends a stream over HTTP/2', async () => {
    // Node prints a warning for a status message on HTTP/2.
    const message = vi.spyOn(Http2ServerResponse.prototype, 'statusMessage', 'set')
    onTestFinished(() => message.mockRestore())
    const { client, errors } = await open([sse(() => [{ data: 1 }, { data: 2 }])], {}, 'h2c')
    expect(await client.ended).toBe('end')
    expect(message).not.toHaveBeenCalled()
    expect(parseEvents(client.body).map(({ data }) => data)).toEqual(['1', '2'])
    expect(errors).toEqual([])
  })
})

describe('examples/koa.js', () => {
  it('sends its visits and resumes a client', async () => {
    const { port, child } = await start()
    const visit = async () => {
      const json = await get('http', port, { path: '/shop', headers: { accept: '*/*' } })
      await json.ended
      return JSON.parse(json.body)
    }
    const client = await get('http', port, { headers: { accept: 'text/event-stream' } })
    await client.until(':\n')
    expect(await visit()).toEqual({ count: 1 })
    await client.until('data: {"count":1,"path":"/shop"}\n\n')
    client.disconnect()
    expect(await visit()).toEqual({ count: 2 })
    const lastEventId = parseEvents(client.body).at(-1)?.id ?? ''
    const headers = { accept: 'text/event-stream', 'last-event-id': lastEventId }
    const back = await get('http', port, { headers })
    await back.until('data: {"count":2,"path":"/shop"}\n\n')
    child.kill('SIGTERM')
    expect(await back.ended).toBe('end')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(back.body).toMatch(/\n\nretry: \d+\n$/)
  })

  async function start() {
    const script = join(import.meta.dirname, '../../examples/koa.js')
    const env = { ...process.env, PORT: '0' }
    const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    return { child, port: Number(new URL(line.slice(line.indexOf('http'))).port) }
  }
})

interface Caught {
  readonly error: unknown
  readonly respond: boolean | undefined
}

/** Returns a middleware that responds to the errors of later ones. */
function answerErrors(tell: (caught: Caught) => void): Middleware {
  return async (context, next) => {
    try {
      await next()
    } catch (error) {
      context.status = 418
      context.body = 'sorry'
      // Koa would have responded by the end of this turn.
      setImmediate(() => tell({ error, respond: context.respond }))
    }
  }
}

/** Requests a stream, waits for its first event and resets the connection. */
async function reset(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
  let received = ''
  while (!received.includes('data: 1')) received += (await once(socket, 'data'))[0]
  socket.resetAndDestroy()
}

function fail(): never {
  throw new Error('secret of the application')
}
