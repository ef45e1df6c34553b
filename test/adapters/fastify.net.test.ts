import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import compress from '@fastify/compress'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest'
import { spillwayPlugin, sse } from '../../src/adapters/fastify/index.ts'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import { serverCloser } from '../../src/lifecycle/server-closer.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, type Get, get, rawClient } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred } from '../support/serve.ts'
import { closed } from '../support/streams.ts'
import { nextUncaught } from '../support/uncaught.ts'
import { type AdapterUnderTest, type AnyHandler, adapterContract, type ContractRequest } from './contract.ts'

function adapter(name: string, prepare: (fastify: FastifyInstance) => unknown): AdapterUnderTest {
  return {
    name,
    sse,
    passesOn: false,
    keepsEarlierHeaders: true,
    cutsBody: true,
    async serve(handler, options) {
      const { fastify, log } = logging()
      await prepare(fastify)
      fastify.setErrorHandler((error, _request, reply) => {
        log.error.push(error)
        reply.code(statusOf(error)).send({ error: 'sorry' })
      })
      fastify.removeAllContentTypeParsers()
      fastify.addContentTypeParser(
        '*',
        { parseAs: 'string' },
        async (_request: unknown, body: unknown) => body,
      )
      fastify.route({ method: ['GET', 'POST'], url: '/stream', handler: handlerOf(handler, options) })
      return { port: await listen(fastify), errors: log.error, close: () => fastify.close() }
    },
  }
}

const handlerOf = (handler: AnyHandler, options: SseHandlerOptions | undefined) =>
  sse((stream, request, reply) => {
    const respond: ContractRequest['respond'] = (status, headers, body) =>
      reply.code(status).headers(headers).send(body)
    return handler(stream, { body: () => request.body as string, respond }) as never
  }, options)

adapterContract(
  adapter('Fastify 5', (fastify) => {
    fastify.addHook('onRequest', async (_request, reply) => void reply.header('Set-Cookie', 'earlier=1'))
  }),
)

adapterContract(
  adapter('Fastify 5 with its plugins', async (fastify) => {
    await addPlugins(fastify)
    fastify.addHook('onRequest', async (_request, reply) => void reply.setCookie('earlier', '1'))
  }),
)

describe('the response headers', () => {
  it('contain the headers that the hooks of plugins set and those of the stream (rule 13)', async () => {
    const { fastify } = logging()
    await addPlugins(fastify)
    fastify.addHook(
      'preHandler',
      async (_request, reply) => void reply.setCookie('a', '1').setCookie('b', '2'),
    )
    fastify.addHook('onSend', async (_request, reply) => {
      await turn()
      reply.header('X-Late', 'yes')
    })
    fastify.get(
      '/stream',
      sse((stream) => stream.send({ data: 1 }), { headers: { 'Set-Cookie': 'd=4' } }),
    )
    const origin = 'https://example.org'
    const client = await ask(await listen(fastify), { headers: { origin, 'accept-encoding': 'gzip, br' } })
    await client.until('data: 1\n\n')
    expect(cookiesOf(client)).toEqual(['a=1', 'b=2', 'd=4'])
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'access-control-allow-origin': origin,
      'x-frame-options': 'SAMEORIGIN',
      'x-late': 'yes',
      vary: 'Origin',
    })
    expect(client.headers['content-encoding']).toBeUndefined()
  })

  it('contain the headers that the handler sets before they are sent', async () => {
    const { fastify } = logging()
    await addPlugins(fastify)
    fastify.addHook(
      'onRequest',
      async (_request, reply) => void reply.setCookie('a', '1').header('X-Own', 'hook'),
    )
    fastify.get(
      '/stream',
      sse(async function* (_stream, _request, reply) {
        reply.setCookie('b', '2').header('X-Own', 'handler').removeHeader('X-Frame-Options')
        yield { data: 1 }
      }),
    )
    const client = await ask(await listen(fastify))
    expect(cookiesOf(client)).toEqual(['a=1', 'b=2'])
    expect(client.headers['x-own']).toBe('handler')
    expect(client.headers['x-frame-options']).toBeUndefined()
  })

  it.each(['text/event-stream', 'application/json'])(
    'contain the Vary and the Cache-Control that the handler sets with Accept %s',
    async (accept) => {
      const { fastify } = logging()
      const formats = ['event-stream', 'json'] as const
      const handler = sse(
        (stream, _request, reply) => {
          reply.header('Vary', 'Origin').header('Cache-Control', 'no-store, no-transform')
          stream.send({ data: 1 })
        },
        { formats },
      )
      fastify.get('/stream', handler)
      const { headers } = await ask(await listen(fastify), { headers: { accept } })
      expect([headers.vary, headers['cache-control']]).toEqual(['Origin, Accept', 'no-store, no-transform'])
    },
  )

  it('keep a stricter Cache-Control of a hook', async () => {
    const { fastify } = logging()
    fastify.addHook('onRequest', async (_request, reply) => void reply.header('Cache-Control', 'no-store'))
    fastify.get(
      '/stream',
      sse(() => {}),
    )
    const client = await ask(await listen(fastify))
    expect(client.headers['cache-control']).toBe('no-store, no-transform')
  })

  it.each(['GET', 'HEAD'])('have no length that a hook has set for another body, for %s', async (method) => {
    const { fastify } = logging()
    fastify.addHook('onRequest', async (_request, reply) => void reply.header('Content-Length', 2))
    fastify.get(
      '/stream',
      sse(() => [{ data: 'whole' }]),
    )
    const client = await ask(await listen(fastify), { method })
    expect(client.headers['content-length']).toBeUndefined()
    expect(await client.ended).toBe('end')
    if (method === 'GET') expect(client.body).toContain('data: whole\n\n')
  })

  it.each([
    ['GET', 'GET', true],
    ['HEAD on a route that Fastify adds', 'HEAD', true],
    ['HEAD on a separate route', 'HEAD', false],
  ])('are the same for %s (rule 19)', async (_what, method, exposed) => {
    const { fastify } = logging()
    await addPlugins(fastify)
    fastify.addHook('onRequest', async (_request, reply) => {
      reply.setCookie('a', '1').header('Set-Cookie', 'c=3')
    })
    const handler = sse(() => {}, { status: 201, headers: { 'Set-Cookie': 'b=2', 'X-Own': 'yes' } })
    fastify.get('/stream', { exposeHeadRoute: exposed }, handler)
    if (!exposed) fastify.head('/stream', handler)
    const client = await ask(await listen(fastify), { method })
    expect(client.status).toBe(201)
    expect(cookiesOf(client)).toEqual(['a=1', 'b=2', 'c=3'])
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-own': 'yes',
      'x-frame-options': 'SAMEORIGIN',
      vary: 'Origin',
    })
    expect(client.headers['content-length']).toBeUndefined()
    if (method === 'HEAD') expect(await client.ended).toBe('end')
  })

  it.each([
    ['a hook', 'GET', '/stream'],
    ['a hook', 'GET', '/stream?format=ndjson'],
    ['a hook', 'HEAD', '/stream'],
    ['the handler', 'GET', '/stream'],
    ['the handler', 'GET', '/stream?format=ndjson'],
  ])('contain no Content-Length that %s sets, for %s %s (rule 15)', async (place, method, path) => {
    const { fastify } = logging()
    if (place === 'a hook')
      fastify.addHook('onRequest', async (_request, reply) => void reply.header('Content-Length', '5'))
    const handler = sse(
      (_stream, _request, reply) => {
        if (place === 'the handler') reply.header('Content-Length', '5')
        return [{ data: 'longer than 5 bytes' }]
      },
      { formats: ['event-stream', 'ndjson'] },
    )
    fastify.get('/stream', handler)
    const client = await ask(await listen(fastify), { method, path })
    expect(await client.ended).toBe('end')
    expect(client.headers['content-length']).toBeUndefined()
    if (method === 'GET') expect(client.body).toContain('longer than 5 bytes')
  })
})

describe('an error before the headers are sent', () => {
  it('is passed to the error handler of the scope, which decides what is logged', async () => {
    const { fastify, log } = logging()
    const seen: string[] = []
    fastify.addHook('onError', async (_request, _reply, error) => void seen.push(error.message))
    fastify.register(async (scope) => {
      scope.setErrorHandler((error, _request, reply) =>
        reply.code(418).send({ said: (error as Error).message }),
      )
      scope.get(
        '/stream',
        sse(() => Promise.reject(new Error('no'))),
      )
    })
    const client = await ask(await listen(fastify))
    await client.ended
    expect([client.status, client.body]).toEqual([418, '{"said":"no"}'])
    expect(client.headers['content-type']).toMatch('application/json')
    expect([seen, log.warn, log.error]).toEqual([['no'], [], []])
  })

  it.each([undefined, null, 0, 'a text'])('causes a 500 when %s is thrown', async (thrown) => {
    const { fastify } = logging()
    fastify.get(
      '/stream',
      sse(() => Promise.reject(thrown)),
    )
    expect((await ask(await listen(fastify))).status).toBe(500)
  })

  it('is reported for an invalid header', async () => {
    const { fastify, log } = logging()
    const { opened, handler } = capturing()
    fastify.get(
      '/stream',
      sse((stream, _request, reply) => {
        handler(stream)
        reply.header('X-Own', 'two\r\nlines')
      }),
    )
    fastify.setErrorHandler((error, _request, reply) => {
      log.error.push(error)
      reply.removeHeader('X-Own').code(500).send({ error: 'sorry' })
    })
    const client = await ask(await listen(fastify))
    expect(client.status).toBe(500)
    expect(log.error).toEqual([expect.objectContaining({ code: 'ERR_INVALID_CHAR' })])
    expect((await opened).closeReason).toBe('error')
  })

  it('of an onSend hook is reported, and the handler is not called', async () => {
    const { fastify, log } = logging()
    let calls = 0
    fastify.addHook('onSend', async (_request, _reply, payload) => {
      if (typeof payload !== 'string') throw new Error('the store is down')
    })
    fastify.get(
      '/stream',
      sse(() => void calls++),
    )
    const client = await ask(await listen(fastify))
    expect([client.status, calls]).toEqual([500, 0])
    expect(log.error).toEqual([expect.objectContaining({ message: 'the store is down' })])
  })

  it.each<[string, (fastify: FastifyInstance) => unknown]>([
    [
      'compression that includes event streams',
      (fastify) => fastify.register(compress, { customTypes: /./ }),
    ],
    [
      'a hook that pipes the body',
      (fastify) =>
        fastify.addHook('onSend', async (_request, _reply, payload) =>
          isStream(payload) ? payload.pipe(new PassThrough()) : payload,
        ),
    ],
    [
      'a hook that reads the body',
      (fastify) =>
        fastify.addHook('onSend', async (_request, _reply, payload) =>
          isStream(payload) ? text(payload) : payload,
        ),
    ],
  ])('is ERR_SSE_RESPONSE for %s', async (what, prepare) => {
    const { fastify, log } = logging()
    await prepare(fastify)
    fastify.get(
      '/stream',
      sse((stream) => stream.send({ data: 1 })),
    )
    const client = await ask(await listen(fastify), { headers: { 'accept-encoding': 'gzip' } })
    await client.ended
    expect([what, client.status]).toEqual([what, 500])
    expect(log.error).toContainEqual(expect.objectContaining({ code: 'ERR_SSE_RESPONSE' }))
  })

  it('is reported when writeHead throws', async () => {
    const { fastify, log } = logging()
    const failure = new Error('no cookie can be made of it')
    fastify.addHook('onRequest', async (_request, { raw }) => {
      const { writeHead } = raw
      raw.writeHead = () => {
        raw.writeHead = writeHead
        throw failure
      }
    })
    fastify.get(
      '/stream',
      sse(() => {}),
    )
    const client = await ask(await listen(fastify))
    await client.ended
    expect([client.status, JSON.parse(client.body).message]).toEqual([500, failure.message])
    expect([log.warn, log.error]).toEqual([[], [failure]])
  })

  it('is ERR_SSE_HEADERS_SENT when a hook has written to the response, which Fastify then cuts', async () => {
    const { fastify, log } = logging()
    fastify.addHook('onRequest', async (_request, reply) => void reply.raw.write('too early'))
    fastify.get(
      '/stream',
      sse(() => expect.unreachable()),
    )
    const client = await ask(await listen(fastify))
    expect(await client.ended).toBe('cut')
    expect(client.body).toBe('too early')
    expect(log.warn).toContainEqual(expect.objectContaining({ code: 'ERR_SSE_HEADERS_SENT' }))
  })

  it('is not caused by a hook that replaces the body', async () => {
    const { fastify, log } = logging()
    fastify.addHook('onSend', async (_request, reply, payload) => {
      ;(payload as Readable).resume()
      reply.type('text/plain')
      return 'closed for today'
    })
    fastify.get(
      '/stream',
      sse((stream) => stream.send({ data: 1 })),
    )
    const client = await ask(await listen(fastify))
    await client.ended
    expect([client.status, client.body]).toEqual([200, 'closed for today'])
    expect([log.warn, log.error]).toEqual([[], []])
  })
})

describe('a client without a stream', () => {
  it('gets a 406 with Vary from the error handler (rule 18)', async () => {
    const { fastify, log } = logging()
    await addPlugins(fastify)
    fastify.get(
      '/stream',
      sse(() => {}),
    )
    const client = await ask(await listen(fastify), { headers: { accept: 'text/event-stream;q=0' } })
    await client.ended
    expect(client.status).toBe(406)
    expect(client.headers.vary).toBe('Origin, Accept')
    expect(JSON.parse(client.body)).toEqual({
      statusCode: 406,
      error: 'Not Acceptable',
      message: 'This resource is an event stream: accept text/event-stream.',
    })
    expect(log.error).toEqual([])
  })

  it('gets the reply that the handler returns', async () => {
    const { fastify } = logging()
    fastify.get(
      '/stream',
      sse((_stream, _request, reply) => reply.code(404).send({ error: 'none' })),
    )
    const client = await ask(await listen(fastify), {})
    expect(await client.ended).toBe('end')
    expect(client.status).toBe(404)
  })

  it.each<[string, number, (reply: FastifyReply) => unknown]>([
    ['reply.send', 403, (reply) => void reply.code(403).send({ error: 'not for you' })],
    ['refuseSseStream', 204, (reply) => refuseSseStream(reply.raw, { status: 204 })],
  ])('gets the response that the handler sends with %s', async (_with, status, refuse) => {
    const { fastify, log } = logging()
    await addPlugins(fastify)
    const { opened, handler } = capturing()
    fastify.get(
      '/stream',
      sse((stream, _request, reply) => {
        handler(stream)
        refuse(reply)
      }),
    )
    const client = await ask(await listen(fastify), { headers: { origin: 'https://example.org' } })
    expect(await client.ended).toBe('end')
    expect(client.status).toBe(status)
    expect(client.headers['access-control-allow-origin']).toBe('https://example.org')
    expect(client.headers['content-type'] ?? 'application/json').toMatch('application/json')
    const stream = await opened
    await expect.poll(() => stream.closeReason).toBe('server')
    expect([log.warn, log.error]).toEqual([[], []])
  })

  it.each<[string, () => unknown, unknown[]]>([
    ['the handler then returns', () => {}, []],
    ['the handler then throws, which is logged', fail, [expect.objectContaining({ message: 'late' })]],
  ])('gets the response of the handler despite slow hooks when %s', async (_when, finish, errors) => {
    const { fastify, log } = logging()
    const { opened, handler } = capturing()
    fastify.addHook('onSend', async () => {
      for (let turns = 0; turns < 3; turns++) await turn()
    })
    fastify.get(
      '/stream',
      sse(async (stream, _request, reply) => {
        handler(stream)
        await undefined
        reply.code(403).send({ error: 'not for you' })
        finish()
      }),
    )
    const client = await ask(await listen(fastify))
    expect(await client.ended).toBe('end')
    expect([client.status, client.body]).toEqual([403, '{"error":"not for you"}'])
    expect((await opened).closed).toBe(true)
    expect([log.warn, log.error]).toEqual([[], errors])
  })

  it('gets the status of the error that the handler throws despite slow hooks', async () => {
    const { fastify, log } = logging()
    fastify.addHook('onSend', async () => void (await turn()))
    fastify.get(
      '/stream',
      sse(() => {
        throw Object.assign(new Error('not for you'), { statusCode: 403 })
      }),
    )
    const client = await ask(await listen(fastify))
    await client.ended
    expect([client.status, JSON.parse(client.body).message]).toEqual([403, 'not for you'])
    expect([log.warn, log.error]).toEqual([[], []])
  })

  it('disconnects during a hook, and the handler is not called', async () => {
    const { fastify, log } = logging()
    const [requested, disconnected, sent] = [deferred<() => void>(), deferred<void>(), deferred<void>()]
    let calls = 0
    fastify.addHook('onSend', async (request) => {
      request.raw.socket.once('close', disconnected.resolve)
      requested.resolve(() => request.raw.socket.destroy())
      await disconnected.promise
      await turn()
      setImmediate(sent.resolve)
    })
    fastify.get(
      '/stream',
      sse(() => void calls++),
    )
    const port = await listen(fastify)
    const response = ask(port)
    const cut = await requested.promise
    cut()
    await expect(response).rejects.toThrow('socket hang up')
    await sent.promise
    expect(calls).toBe(0)
    expect([log.warn, log.error]).toEqual([[], []])
  })
})

describe('an async route that returns the result of sse()', () => {
  async function open(handler: Parameters<typeof sse>[0]) {
    const { fastify, log } = logging()
    const route = sse(handler)
    fastify.get('/stream', async (request, reply) => route(request, reply))
    return { log, client: await ask(await listen(fastify), {}) }
  }

  it('responds with the stream', async () => {
    const { client, log } = await open(() => ['to', 'be'])
    expect(await client.ended).toBe('end')
    expect(parseEvents(client.body).map(({ data }) => data)).toEqual(['to', 'be'])
    expect([log.warn, log.error]).toEqual([[], []])
  })

  it('responds with the status of the error that the handler throws', async () => {
    const { client, log } = await open(() => {
      throw Object.assign(new Error('not for you'), { statusCode: 403 })
    })
    expect(client.status).toBe(403)
    expect([log.warn, log.error]).toEqual([[], []])
  })
})

describe('the request of a stream', () => {
  it('is completed, with onResponse and a log line, when the stream ends', async () => {
    const { fastify, log } = logging()
    const statuses: number[] = []
    fastify.addHook('onResponse', async (_request, reply) => void statuses.push(reply.statusCode))
    fastify.get(
      '/stream',
      sse(() => [{ data: 1 }]),
    )
    const client = await ask(await listen(fastify))
    expect(await client.ended).toBe('end')
    await expect.poll(() => statuses).toEqual([200])
    expect(log.info.filter((each) => /^(incoming|request|stream)/.test(String(each)))).toEqual([
      'incoming request',
      'request completed',
    ])
    expect([log.warn, log.error]).toEqual([[], []])
  })

  it('is aborted, with onRequestAbort and no error, when the client disconnects (rule 34)', async () => {
    const { fastify, log } = logging()
    const { opened, handler } = capturing()
    let aborted = 0
    fastify.addHook('onRequestAbort', async (_request) => void aborted++)
    fastify.get('/stream', sse(handler))
    const client = await ask(await listen(fastify))
    await client.until(':\n')
    const end = closed(await opened)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    await expect.poll(() => aborted).toBe(1)
    expect(log.info).toContain('stream closed prematurely')
    expect([log.warn, log.error]).toEqual([[], []])
  })

  it('keeps the connection open for the next request', async () => {
    const { fastify } = logging()
    fastify.get(
      '/stream',
      sse(() => [{ data: 'over' }]),
    )
    const request = 'GET /stream HTTP/1.1\r\nHost: localhost\r\n'
    const client = rawClient(await listen(fastify), `${request}\r\n${request}Connection: close\r\n\r\n`)
    expect(await client.ended).toBe('end')
    expect(client.body.match(/data: over\n\n/g)).toHaveLength(2)
  })

  it('is not limited by handlerTimeout', async () => {
    const { fastify } = logging({ handlerTimeout: 40 })
    const { opened, handler } = capturing()
    fastify.get('/stream', sse(handler))
    fastify.get('/slow', () => new Promise(() => {}))
    const port = await listen(fastify)
    const client = await ask(port)
    // This request started later, so when it times out, the timeout of the stream has passed too.
    expect((await ask(port, { path: '/slow' })).status).toBe(503)
    const stream = await opened
    stream.send({ data: 'still here' })
    await client.until('data: still here\n\n')
  })

  it('causes no error if handlerTimeout ends a HEAD request that is being authorized', async () => {
    const { fastify, log } = logging({ handlerTimeout: 40 })
    const decision = deferred<boolean>()
    fastify.get(
      '/stream',
      sse(() => {}, { authorize: () => decision.promise }),
    )
    const client = await ask(await listen(fastify), { method: 'HEAD' })
    expect(client.status).toBe(503)
    const logged = log.error.length
    decision.resolve(true)
    await turn()
    await turn()
    expect(log.error.slice(logged)).toEqual([])
  })

  it('logs a later error of the handler once and sends nothing more', async () => {
    const { fastify, log } = logging()
    let handled = 0
    fastify.setErrorHandler(() => void handled++)
    const go = deferred<void>()
    fastify.get(
      '/stream',
      sse(async (stream) => {
        stream.send({ data: 1 })
        await go.promise
        throw new Error('too late')
      }),
    )
    const client = await ask(await listen(fastify))
    await client.until('data: 1\n\n')
    go.resolve()
    expect(await client.ended).toBe('cut')
    expect(log.error).toEqual([expect.objectContaining({ message: 'too late' })])
    expect([handled, log.warn]).toEqual([0, []])
  })
})

describe('spillwayPlugin', () => {
  it('closes open streams with jittered reconnection times when Fastify closes', async () => {
    const { fastify } = logging()
    await fastify.register(spillwayPlugin, { retry: 50_000 })
    const reasons: string[] = []
    fastify.register(async (scope) => {
      scope.get(
        '/stream',
        sse((stream) => void stream.on('close', (reason) => reasons.push(reason))),
      )
    })
    const port = await listen(fastify)
    const clients = await Promise.all(Array.from({ length: 5 }, () => ask(port)))
    const keptAlive = await fetch(`http://127.0.0.1:${port}/stream`)
    await fastify.close()
    expect(await keptAlive.text()).toMatch(/\n$/)
    expect(await Promise.all(clients.map(({ ended }) => ended))).toEqual(Array(5).fill('end'))
    const retries = clients.map(({ body }) => Number(/retry: (\d+)\n$/.exec(body)?.[1]))
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(50_000)
    expect(Math.max(...retries)).toBeLessThanOrEqual(100_000)
    expect(new Set(retries).size).toBeGreaterThan(1)
    expect(reasons).toEqual(Array(6).fill('shutdown'))
  })

  it('lets a close listener close Fastify, throw and remove all listeners', async () => {
    const { fastify } = logging()
    await fastify.register(spillwayPlugin, { grace: 600_000 })
    const uncaught = nextUncaught()
    let down: Promise<undefined> | undefined
    fastify.get(
      '/stream',
      sse((stream) => {
        stream.on('close', () => {
          down ??= fastify.close()
          stream.removeAllListeners()
          throw new Error('listener')
        })
      }),
    )
    const port = await listen(fastify)
    const [first, second] = [await ask(port), await ask(port)]
    first.disconnect()
    await expect(uncaught).resolves.toMatchObject({ message: 'listener' })
    const ignored = nextUncaught()
    expect(await second.ended).toBe('end')
    await ignored
    await down
  })

  it('closes on HTTP/2 with serverCloser, although a client keeps its session open (rule 46)', async () => {
    const fastify = Fastify({ http2: true })
    await fastify.register(spillwayPlugin)
    fastify.get(
      '/stream',
      sse(() => {}),
    )
    const closeServer = serverCloser(fastify.server)
    fastify.addHook('preClose', async () => void closeServer({ grace: 600_000 }))
    await fastify.listen({ port: 0, host: '127.0.0.1' })
    const { port } = fastify.server.address() as AddressInfo
    const client = await get('h2c', port, { path: '/stream' })
    await fastify.close()
    expect(await client.ended).toBe('end')
  })

  it('ends held polls with their cursor, although clients keep their connections', async () => {
    const { fastify } = logging()
    fastify.server.keepAliveTimeout = 600_000
    await fastify.register(spillwayPlugin, { retry: 50_000 })
    const hub = new Hub()
    const id = await hub.channel('news').publish({ data: 1 })
    const formats = ['event-stream', 'json'] as const
    fastify.get(
      '/stream',
      sse((stream) => hub.subscribe(stream, 'news'), { formats }),
    )
    const port = await listen(fastify)
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    const path = `/stream?format=json&lastEventId=${id}`
    const responses = [1, 2, 3].map(() =>
      once(request({ host: '127.0.0.1', port, path, agent }).end(), 'response'),
    )
    await expect.poll(() => hub.size).toBe(3)
    await fastify.close()
    for (const [response] of await Promise.all(responses)) {
      const { events, lastEventId, retry } = JSON.parse(await text(response))
      expect([events, lastEventId]).toEqual([[], id])
      expect(retry).toBeGreaterThanOrEqual(50_000)
    }
  })

  it('sends no reconnection time with retry 0', async () => {
    const { fastify } = logging()
    await fastify.register(spillwayPlugin, { retry: 0 })
    fastify.get(
      '/stream',
      sse(() => {}, { retry: 0, heartbeat: 0 }),
    )
    const client = await ask(await listen(fastify))
    await fastify.close()
    await client.ended
    expect(client.body).toBe(':\n')
  })

  it('sends queued events and destroys streams that are still open after the grace', async () => {
    const { fastify } = logging()
    await fastify.register(spillwayPlugin, { grace: 500 })
    const streams: SseStream[] = []
    fastify.get(
      '/stream',
      sse((stream) => void streams.push(stream), { maxBufferedBytes: 100_000_000, stallTimeout: 0 }),
    )
    const port = await listen(fastify)
    const [reading, stalled] = [await ask(port), await ask(port)]
    stalled.stopReading()
    const ends = Promise.all(streams.map(closed))
    streams[0]?.send({ data: 'the last' })
    for (let n = 0; n < 10; n++) streams[1]?.send({ data: 'x'.repeat(4_000_000) })
    await fastify.close()
    expect(await reading.ended).toBe('end')
    expect(reading.body).toMatch(/data: the last\n\nretry: \d{4}\n$/)
    expect(await ends).toEqual(Array(2).fill({ reason: 'shutdown', error: undefined }))
    stalled.resumeReading()
    expect(await stalled.ended).toBe('cut')
  })

  it('closes streams that open while Fastify closes', async () => {
    const { fastify } = logging({ return503OnClosing: false })
    await fastify.register(spillwayPlugin, { retry: 50_000 })
    fastify.get(
      '/stream',
      sse((stream) => stream.send({ data: 'too late' })),
    )
    const port = await listen(fastify, async () => {
      const client = await ask(port)
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/^:\nretry: \d{4}\n: heartbeat \d+\nretry: \d{5,6}\n$/)
    })
    await fastify.close()
    expect.assertions(2)
  })

  it('does not close the streams of other scopes', async () => {
    const { fastify } = logging()
    const { opened, handler } = capturing()
    fastify.get('/other', sse(handler))
    fastify.register(async (scope) => {
      await scope.register(spillwayPlugin)
      scope.get(
        '/stream',
        sse(() => {}),
      )
    })
    const port = await listen(fastify)
    const [client, other] = [await ask(port), await ask(port, { path: '/other' })]
    const down = fastify.close()
    expect(await client.ended).toBe('end')
    const stream = await opened
    expect(stream.closed).toBe(false)
    stream.close()
    await down
    expect(await other.ended).toBe('end')
  })

  it('rejects an unknown option', async () => {
    const { fastify } = logging()
    const options = { graceMs: 1 } as object
    await expect(async () => fastify.register(spillwayPlugin, options)).rejects.toMatchObject({
      code: 'ERR_SSE_OPTION',
      message: 'Unknown option "graceMs". Did you mean grace? Known options: grace, retry, spread.',
    })
  })
})

it('sse of spillway/fastify supports fastify.inject() with and without payloadAsStream', async () => {
  const { fastify } = logging()
  await addPlugins(fastify)
  const goOn = deferred<void>()
  fastify.get(
    '/stream',
    sse(async function* () {
      yield { data: 1 }
      await goOn.promise
      yield { data: 2 }
    }),
  )
  const url = '/stream'
  const atOnce = await fastify.inject({ url, payloadAsStream: true })
  const [first] = await once(atOnce.stream(), 'data')
  expect(String(first)).toMatch(/^:\nretry: \d+\n: heartbeat \d+\n/)
  goOn.resolve()
  const whole = await fastify.inject({ url, headers: { 'accept-encoding': 'gzip' } })
  expect(whole.headers['content-type']).toBe('text/event-stream; charset=utf-8')
  expect(parseEvents(whole.body).map(({ data }) => data)).toEqual(['1', '2'])
  expect((await fastify.inject({ url, method: 'HEAD' })).statusCode).toBe(200)
  expect((await fastify.inject({ url, headers: { accept: 'text/event-stream;q=0' } })).statusCode).toBe(406)
})

it('sse of spillway/fastify sends a stream over HTTP/2', async () => {
  const fastify = Fastify({ http2: true, forceCloseConnections: true })
  onTestFinished(() => fastify.close())
  await fastify.register(spillwayPlugin)
  fastify.addHook('onRequest', async (_request, reply) => void reply.header('X-Own', 'yes'))
  const opened = deferred<SseStream>()
  fastify.get(
    '/stream',
    sse((stream) => opened.resolve(stream)),
  )
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  const client = await get('h2c', (fastify.server.address() as AddressInfo).port, { path: '/stream' })
  expect(client.headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8', 'x-own': 'yes' })
  ;(await opened.promise).send({ data: 1 })
  await client.until('data: 1\n\n')
  await fastify.close()
  expect(await client.ended).toBe('end')
})

it('sse of spillway/fastify infers the types of the events and of the route', () => {
  interface Prices {
    price: { value: number }
  }
  interface Route {
    Params: { id: string }
  }
  const fastify = Fastify()
  fastify.get<Route>(
    '/:id',
    sse((stream, request, reply) => {
      expectTypeOf(request.params).toEqualTypeOf<{ id: string }>()
      expectTypeOf(reply).toExtend<FastifyReply>()
      stream.send({ event: 'anything', data: request.params.id })
    }),
  )
  fastify.get<Route>(
    '/:id/priced',
    sse((stream: SseStream<Prices>, request) => {
      expectTypeOf(request.params.id).toBeString()
      stream.send({ event: 'price', data: { value: 1 } })
      // @ts-expect-error: the stream has no such event.
      stream.send({ event: 'prise', data: { value: 1 } })
    }),
  )
  fastify.get(
    '/plain',
    sse<Prices>((stream, request) => {
      expectTypeOf(request).toEqualTypeOf<FastifyRequest>()
      // @ts-expect-error: a price is an object.
      stream.send({ event: 'price', data: 1 })
    }),
  )
  fastify.get(
    '/annotated/:id',
    sse((_stream, request: FastifyRequest<Route>) => [{ data: request.params.id }]),
  )
})

describe('examples/fastify.js', () => {
  it('sends the messages of a room, resumes a client and exits on a signal', async () => {
    const { url, child } = await start('fastify.js')
    const say = async (body: string) => {
      const { id } = (await (await fetch(url, { method: 'POST', body })).json()) as { id: string }
      return id
    }
    const { port, pathname: path } = new URL(url)
    const client = await ask(Number(port), { path })
    await client.until(':\n')
    const id = await say('hello')
    await client.until('data: hello\n\n')
    client.disconnect()
    await say('is anybody there?')
    const back = await ask(Number(port), { path, headers: { 'last-event-id': id } })
    await back.until('event: said\ndata: is anybody there?\n\n')
    child.kill()
    expect(await back.ended).toBe('end')
    expect(parseEvents(back.body)).toHaveLength(1)
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

/** Adds plugins that most servers have. */
async function addPlugins(fastify: FastifyInstance): Promise<void> {
  await fastify.register(cors, { origin: ['https://example.org'] })
  await fastify.register(helmet)
  await fastify.register(cookie)
  await fastify.register(compress, { threshold: 0 })
  await fastify.register(spillwayPlugin)
}

/** Creates an instance that records its log: errors unchanged, other entries by message. */
function logging(options: { return503OnClosing?: boolean; handlerTimeout?: number } = {}) {
  const log = { error: [] as unknown[], warn: [] as unknown[], info: [] as unknown[] }
  const ignore = () => {}
  const logger: FastifyBaseLogger = {
    level: 'info',
    fatal: ignore,
    error: (entry: { err?: unknown }, message?: string) => void log.error.push(entry.err ?? message),
    warn: (entry: { err?: unknown }, message?: string) => void log.warn.push(entry.err ?? message),
    info: (_entry: unknown, message?: string) => void log.info.push(message),
    debug: ignore,
    trace: ignore,
    silent: ignore,
    child: () => logger,
  }
  const fastify: FastifyInstance = Fastify({ ...options, loggerInstance: logger })
  onTestFinished(() => fastify.close())
  return { fastify, log }
}

/** Starts the server and resolves with its port. */
async function listen(fastify: FastifyInstance, preClose?: () => Promise<void>): Promise<number> {
  if (preClose) fastify.addHook('preClose', preClose)
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  return (fastify.server.address() as AddressInfo).port
}

function ask(port: number, options: Get = {}): Promise<Client> {
  return get('http', port, { path: '/stream', ...options })
}

/** Returns a handler and a promise of its stream. */
function capturing() {
  const opened = deferred<SseStream>()
  return { opened: opened.promise, handler: (stream: SseStream) => opened.resolve(stream) }
}

function cookiesOf({ headers }: Client): string[] {
  const cookies = [headers['set-cookie'] ?? []].flat()
  return cookies.map((each) => each.split(';')[0] ?? '').sort()
}

function fail(): never {
  throw new Error('late')
}

function isStream(payload: unknown): payload is Readable {
  return typeof (payload as Readable).pipe === 'function'
}

function statusOf(error: unknown): number {
  return (error as { statusCode?: number }).statusCode ?? 500
}

/** Starts an example as a separate process. Resolves with its URL. */
async function start(example: string): Promise<{ url: string; child: ChildProcess }> {
  const script = fileURLToPath(new URL(`../../examples/${example}`, import.meta.url))
  const child = spawn(process.execPath, [script], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) {
    return { url: line.slice(line.indexOf('http')), child }
  }
  throw new Error(`${example} ended before it listened.`)
}
