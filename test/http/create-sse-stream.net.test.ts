import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Get, get, rawClient } from '../support/client.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

/** Starts a server that creates a stream for every request, and opens a client. */
async function open(
  options: SseStreamOptions = {},
  request: Get = {},
  { prepare, protocol = 'http' }: { prepare?: Handler; protocol?: Protocol } = {},
) {
  const created = deferred<SseStream>()
  const { port, ...server } = await serve((req, res) => {
    prepare?.(req, res)
    created.resolve(createSseStream(req, res, options))
  }, protocol)
  const client = await get(protocol, port, request)
  return { client, stream: await created.promise, port, ...server }
}

describe('response headers', () => {
  it.each<Protocol>(['http', 'h2c'])('contain what proxies need over %s (rules 1, 13)', async (protocol) => {
    const { client } = await open({}, {}, { protocol })
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    expect(client.headers).not.toHaveProperty('content-length')
    expect(client.headers).not.toHaveProperty('vary')
  })

  it('contain only the framing that Node adds on HTTP/1.1 (rule 14)', async () => {
    const { client } = await open()
    expect(client.headers).toMatchObject({ 'transfer-encoding': 'chunked' })
  })

  // hono and ssestream fail on HTTP/2; better-sse, @fastify/sse and sse-channel warn.
  it('contain nothing that HTTP/2 forbids and cause no process warning (rule 14)', async () => {
    const warning = vi.fn()
    process.on('warning', warning)
    const { client } = await open({}, {}, { protocol: 'h2c' })
    await client.until(':\n')
    await nextTurn()
    process.off('warning', warning)
    expect(client.headers).not.toHaveProperty('connection')
    expect(client.headers).not.toHaveProperty('transfer-encoding')
    expect(warning).not.toHaveBeenCalled()
  })

  it('declare no chunked encoding on HTTP/1.0 (rule 15)', async () => {
    const { port } = await serve((req, res) => {
      const stream = createSseStream(req, res)
      stream.send({ data: 1 })
      stream.close()
    })
    const client = rawClient(port, 'GET / HTTP/1.0\r\n\r\n')
    expect(await client.ended).toBe('end')
    expect(client.body).not.toMatch(/transfer-encoding/i)
    expect(client.body).toMatch(/\r\n\r\n:\nretry: \d+\n: heartbeat \d+\ndata: 1\n\n$/)
  })

  it('include added and overridden headers and keep those set before (rule 13)', async () => {
    const prepare: Handler = (_request, response) => {
      response.setHeader('X-Before', 'kept')
      response.setHeader('Vary', 'Origin')
      response.setHeader('Set-Cookie', ['a=1', 'b=2'])
      response.setHeader('Content-Length', '5')
      response.setHeader('Content-Type', 'application/json')
    }
    const headers = { 'X-Own': 'added', 'Cache-Control': 'no-store', 'Set-Cookie': ['c=3', 'd=4'] }
    const { client } = await open({ headers, status: 201 }, {}, { prepare })
    expect(client.status).toBe(201)
    expect(client.headers).toMatchObject({
      'x-before': 'kept',
      'x-own': 'added',
      'cache-control': 'no-store',
      'content-type': 'text/event-stream; charset=utf-8',
      vary: 'Origin',
      'set-cookie': ['a=1', 'b=2', 'c=3', 'd=4'],
    })
    expect(client.headers).not.toHaveProperty('content-length')
  })

  it.each([
    ['no-store', 'no-store, no-transform'],
    ['private, no-cache', 'private, no-cache, no-transform'],
    ['public, max-age=3600', 'no-cache, no-transform'],
  ])('turn an earlier Cache-Control %s into %s', async (before, after) => {
    const prepare: Handler = (_request, response) => response.setHeader('Cache-Control', before)
    const { client } = await open({}, {}, { prepare })
    expect(client.headers['cache-control']).toBe(after)
  })

  it('are followed by a random reconnection time from retry to twice retry (rule 37)', async () => {
    const { port } = await serve((req, res) => createSseStream(req, res, { retry: 1000 }).close())
    const bodies = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await get('http', port)
        await client.ended
        return client.body
      }),
    )
    const times = bodies.map((body) => Number(/^:\nretry: (\d+)\n: heartbeat \d+\n$/.exec(body)?.[1]))
    expect(Math.min(...times)).toBeGreaterThanOrEqual(1000)
    expect(Math.max(...times)).toBeLessThanOrEqual(2000)
    expect(new Set(times).size).toBeGreaterThan(5)
  })

  it('are followed by no reconnection time with retry 0', async () => {
    const { client, stream } = await open({ retry: 0, heartbeat: 0 })
    stream.close()
    await client.ended
    expect(client.body).toBe(':\n')
  })
})

describe('the socket of a stream', () => {
  it('has an address that is not read, because Node.js would keep it', async () => {
    const address = vi.fn()
    const prepare = ({ socket }: IncomingMessage) =>
      void Object.defineProperty(socket, 'remoteAddress', { get: address })
    const { client } = await open({}, {}, { prepare })
    await client.until(':\n')
    expect(address).not.toHaveBeenCalled()
  })

  /** Returns the calls that configure the socket of a stream. */
  async function socketCalls(options: SseStreamOptions): Promise<unknown[]> {
    const calls: unknown[] = []
    const prepare: Handler = (_request, response) => {
      const socket = response.socket as Socket
      for (const name of ['setNoDelay', 'setTimeout', 'setKeepAlive']) {
        const note = (...args: unknown[]) => {
          calls.push(name, ...args)
          return socket
        }
        Object.assign(socket, { [name]: note })
      }
    }
    await open(options, {}, { prepare })
    return calls
  }

  it('is configured on HTTP/1 (rule 17)', async () => {
    expect(await socketCalls({ heartbeat: 0 })).toEqual([
      'setNoDelay',
      true,
      'setTimeout',
      0,
      'setKeepAlive',
      true,
      15_000,
    ])
  })

  it('gets keep-alive probes only after the stream falls silent', async () => {
    const calls = await socketCalls({ heartbeat: 300 })
    expect(calls).not.toContain('setKeepAlive')
    await expect.poll(() => calls).toContain('setKeepAlive')
  })

  it('survives a server timeout that is shorter than the silence (rule 17)', async () => {
    const { port } = await serve((req, res) => {
      // As a server with this timeout does, but not before the request has arrived.
      req.socket.setTimeout(150)
      const stream = createSseStream(req, res, { heartbeat: 0 })
      setTimeout(() => stream.send({ data: 'late' }), 400)
    })
    const client = await get('http', port)
    await client.until('data: late\n\n')
  })
})

describe('a stream without a preamble', () => {
  it.each<Protocol>(['http', 'https', 'h2c'])(
    'sends the headers immediately, and begins with the first event, over %s (rule 16)',
    async (protocol) => {
      const { client, stream } = await open({ preamble: false }, {}, { protocol })
      expect(client.headers['content-type']).toBe('text/event-stream; charset=utf-8')
      await nextTurn()
      expect(client.body).toBe('')
      stream.send({ data: 1 })
      stream.close()
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('data: 1\n\n')
    },
  )

  it('sends the headers immediately on HTTP/1.0 (rule 15)', async () => {
    const { port } = await serve((req, res) => void createSseStream(req, res, { preamble: false }))
    const client = rawClient(port, 'GET / HTTP/1.0\r\n\r\n')
    await client.until(/\r\n\r\n$/.test.bind(/\r\n\r\n$/))
  })
})

describe('createSseStream', () => {
  it('responds 406 and returns a closed stream when the client refuses event streams (rule 18)', async () => {
    const { client, stream } = await open({}, { headers: { accept: 'text/event-stream;q=0' } })
    expect(client.status).toBe(406)
    expect(client.headers).toMatchObject({ vary: 'Accept' })
    expect(await client.ended).toBe('end')
    expect(stream).toMatchObject({ closed: true, closeReason: 'not-acceptable' })
    expect(stream.signal.aborted).toBe(true)
    expect(stream.send({ data: 1 })).toBe(false)
    await expect(stream.drained()).resolves.toBe(false)
  })

  it.each(['application/json', 'text/html', 'image/*', '*/*;q=0', ''])(
    'sends the stream to a request with Accept %s (rule 18)',
    async (accept) => {
      const { client, stream } = await open({}, { headers: { accept } })
      expect([client.status, client.headers.vary, stream.closed]).toEqual([200, undefined, false])
    },
  )

  it('adds Accept to Vary with negotiate, whoever has set it (rule 18)', async () => {
    const prepare: Handler = (_request, response) => response.setHeader('Vary', 'Origin')
    const before = await open({ negotiate: true }, { headers: { accept: 'text/event-stream' } }, { prepare })
    expect(before.client.headers.vary).toBe('Origin, Accept')
    const options = { negotiate: true, headers: { VARY: 'Cookie' } }
    const option = await open(options, { headers: { accept: 'text/event-stream' } }, { prepare })
    expect(option.client.headers.vary).toBe('Cookie, Accept')
  })

  it.each<[accept: string, status: number]>([
    ['*/*', 406],
    ['application/json, text/plain, */*', 406],
    ['text/event-stream', 200],
  ])('responds to Accept %s with negotiate with the status %d and Vary (rule 18)', async (accept, status) => {
    const { client, stream } = await open({ negotiate: true }, { headers: { accept } })
    expect([client.status, client.headers.vary]).toEqual([status, 'Accept'])
    expect(stream.closed).toBe(status === 406)
  })

  it('emits close for a stream that is closed from the start', async () => {
    const onClose = vi.fn()
    const { port } = await serve((req, res) => {
      createSseStream(req, res).on('close', onClose)
    })
    await (await get('http', port, { headers: { accept: 'text/event-stream;q=0' } })).ended
    expect(onClose).toHaveBeenCalledExactlyOnceWith('not-acceptable', undefined)
  })

  it.each<Protocol>(['http', 'h2c'])(
    'responds to HEAD with headers only over %s (rule 19)',
    async (protocol) => {
      const { client, stream } = await open({}, { method: 'HEAD' }, { protocol })
      expect(client.headers).toMatchObject({ 'content-type': 'text/event-stream; charset=utf-8' })
      await client.ended
      expect(client.body).toBe('')
      expect(stream).toMatchObject({ closed: true, closeReason: 'server' })
    },
  )

  it.each(['*/*', 'text/event-stream;q=0'])(
    'responds to HEAD with Accept %s on a server that rejects non-standard bodies',
    async (accept) => {
      const server = http.createServer({ rejectNonStandardBodyWrites: true }, (req, res) => {
        createSseStream(req, res)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())
      const client = await get('http', (server.address() as AddressInfo).port, {
        method: 'HEAD',
        headers: { accept },
      })
      expect(client.status).toBe(accept === '*/*' ? 200 : 406)
      expect(await client.ended).toBe('end')
    },
  )

  it('sends the whole 406 body when a middleware set another content length', async () => {
    const { client } = await open(
      {},
      { headers: { accept: 'text/event-stream;q=0' } },
      { prepare: (_request, response) => response.setHeader('Content-Length', '5') },
    )
    await client.ended
    expect(client.body).toContain('accept text/event-stream.\n')
  })

  it.each<Protocol>(['http', 'h2c'])(
    'accepts a request with a header named get over %s',
    async (protocol) => {
      const { client, stream } = await open({}, { headers: { get: '1' } }, { protocol })
      expect(stream.closed).toBe(false)
      await client.until(':\n')
    },
  )

  it('reads the last event id from the header', async () => {
    const { stream } = await open({}, { headers: { 'last-event-id': Buffer.from('é1').toString('latin1') } })
    expect(stream.lastEventId).toBe('é1')
  })

  it('reads the last event id on HTTP/2 and from the query (rule 23)', async () => {
    const { stream } = await open(
      {},
      { headers: { 'last-event-id': Buffer.from('é1').toString('latin1') } },
      { protocol: 'h2c' },
    )
    expect(stream.lastEventId).toBe('é1')
    const other = await open({}, { path: '/?lastEventId=7' })
    expect(other.stream.lastEventId).toBe('7')
  })

  // better-sse rejects the whole request on `Host: [`.
  it.each([
    'GET //[ HTTP/1.1\r\nHost: [\r\nAccept: ;;;,text/event-stream\r\n\r\n',
    'GET /?lastEventId=%ff%zz HTTP/1.1\r\nHost: a\r\nLast-Event-ID: \xff\xfe\r\n\r\n',
    'GET http://[/%00 HTTP/1.1\r\nHost: \xe9\r\n\r\n',
  ])('serves the malformed request %j (rule 24)', async (request) => {
    const { port } = await serve((req, res) => createSseStream(req, res).send({ data: 'served' }))
    await rawClient(port, request).until('data: served\n\n')
  })
})

describe('a stream', () => {
  // better-sse #116, NestJS #17098.
  it('stays open after the end of a POST body (rule 28)', async () => {
    const { client, stream } = await open(
      {},
      { method: 'POST', body: 'x'.repeat(1000) },
      {
        prepare: (request) => request.resume(),
      },
    )
    await nextTurn()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(stream.closed).toBe(false)
    stream.send({ data: 'still here' })
    await client.until('data: still here\n\n')
  })

  // better-sse, sse-channel and express-sse keep such a stream forever.
  it.each<Protocol>(['http', 'https', 'h2c'])(
    'is closed from the start over %s when the client has disconnected (rule 29)',
    async (protocol) => {
      const created = deferred<SseStream>()
      const requested = deferred<void>()
      const { port } = await serve((req, res) => {
        requested.resolve()
        res.once('close', () => created.resolve(createSseStream(req, res)))
      }, protocol)
      const session = connectOnly(protocol, port)
      await requested.promise
      session.destroy()
      const stream = await created.promise
      expect(stream).toMatchObject({ closed: true, closeReason: 'client' })
      expect(stream.signal.aborted).toBe(true)
    },
  )

  it.each<Protocol>(['http', 'h2c'])(
    'is closed from the start over %s when its response was destroyed (rule 29)',
    async (protocol) => {
      const created = deferred<SseStream>()
      const { port } = await serve((req, res) => {
        res.once('close', () => created.resolve(createSseStream(req, res)))
        res.destroy()
      }, protocol)
      connectOnly(protocol, port)
      expect(await created.promise).toMatchObject({ closed: true, closeReason: 'client' })
    },
  )

  it('closes when the client of a queued pipelined request disconnects', async () => {
    const second = deferred<SseStream>()
    const { port } = await serve((req, res) => {
      const stream = createSseStream(req, res)
      if (req.url === '/2') second.resolve(stream)
    })
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    const client = rawClient(port, ask('/1') + ask('/2'))
    const stream = await second.promise
    stream.send({ data: 'waits' })
    const end = closed(stream)
    client.disconnect()
    expect(await end).toMatchObject({ reason: 'client' })
  })

  it('starts when the response to the previous pipelined request has ended', async () => {
    const streams: SseStream[] = []
    const { port } = await serve((req, res) => {
      const stream = createSseStream(req, res, { retry: 0 })
      streams.push(stream)
      stream.send({ data: req.url })
    })
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    const client = rawClient(port, ask('/1') + ask('/2'))
    await client.until('data: /1\n\n')
    streams[0]?.close()
    await client.until('data: /2\n\n')
    streams[1]?.send({ data: 'more' })
    await client.until('data: more\n\n')
  })

  it('is closed from the start when the client of a queued pipelined request has disconnected (rule 29)', async () => {
    const second = deferred<SseStream>()
    const requested = deferred<void>()
    const { port } = await serve(async (req, res) => {
      if (req.url === '/1') return void createSseStream(req, res)
      requested.resolve()
      await new Promise((resolve) => req.socket.once('close', resolve))
      second.resolve(createSseStream(req, res))
    })
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
    const client = rawClient(port, ask('/1') + ask('/2'))
    await requested.promise
    client.disconnect()
    expect(await second.promise).toMatchObject({ closed: true, closeReason: 'client' })
  })

  it('causes no process warning when a client pipelines 30 requests', async () => {
    const warning = vi.fn()
    process.on('warning', warning)
    const streams: SseStream[] = []
    const { port } = await serve((req, res) => streams.push(createSseStream(req, res)))
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(30))
    await expect.poll(() => streams.length).toBe(30)
    const ends = streams.map(closed)
    client.disconnect()
    await Promise.all(ends)
    process.off('warning', warning)
    expect(warning).not.toHaveBeenCalled()
  })

  it('adds no permanent listeners to a kept-alive connection', async () => {
    const { port, sockets } = await serve((req, res) => createSseStream(req, res).close())
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < 3; i++) {
      await new Promise<void>((resolve) => {
        http.get({ port, host: '127.0.0.1', agent }, (response) =>
          response.resume().once('end', () => setImmediate(resolve)),
        )
      })
    }
    const [socket] = sockets
    expect(sockets.size).toBe(1)
    // There are as many listeners after three requests as after one (rule 33).
    expect(socket?.listenerCount('drain')).toBeLessThanOrEqual(1)
    agent.destroy()
  })

  it('closes when the client half-closes or resets the connection', async () => {
    const streams: SseStream[] = []
    const { port } = await serve((req, res) => streams.push(createSseStream(req, res)))
    const half = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    half.resume().write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect.poll(() => streams.length).toBe(1)
    const end = closed(streams[0] as SseStream)
    half.end()
    for (let i = 0; i < 4; i++) streams[0]?.send({ data: 'x'.repeat(100_000) })
    await nextTurn()
    for (let i = 0; i < 4; i++) streams[0]?.send({ data: 'x'.repeat(100_000) })
    expect(await end).toMatchObject({ reason: 'client' })

    const reset = connect({ port, host: '127.0.0.1' })
    reset.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect.poll(() => streams.length).toBe(2)
    const disconnected = closed(streams[1] as SseStream)
    reset.resetAndDestroy()
    expect(await disconnected).toMatchObject({ reason: 'client' })
  })

  it('removes its listeners when it closes', async () => {
    const seen = deferred<ServerResponse>()
    const { client, stream } = await open({}, {}, { prepare: (_request, response) => seen.resolve(response) })
    const response = await seen.promise
    await client.until(':\n')
    const end = closed(stream)
    client.disconnect()
    await end
    expect(response.listenerCount('drain')).toBe(0)
  })
})

describe('createSseStream with bad input', () => {
  const request = { headers: {}, method: 'GET', url: '/' } as IncomingMessage

  it.each([undefined, null, {}, 'request', new Request('http://localhost/')])(
    'rejects %s as a request',
    async (wrong) => {
      const { error } = await respond((_req, res) => createSseStream(wrong as never, res))
      expect(error).toEqual(code('ERR_SSE_REQUEST'))
    },
  )

  it.each([undefined, null, {}, 'response', new Response()])('rejects %s as a response', (wrong) => {
    expect(() => createSseStream(request, wrong as never)).toThrow(code('ERR_SSE_RESPONSE'))
  })

  it('rejects a response whose headers were already sent', async () => {
    const { error } = await respond((req, res) => {
      res.writeHead(200).write('x')
      createSseStream(req, res)
    })
    expect(error).toEqual(code('ERR_SSE_HEADERS_SENT'))
    expect(String(error)).toContain('already sent')
  })

  it.each<[Protocol, string]>([
    ['http', 'a stream that is open'],
    ['h2c', 'a stream that is open'],
    ['http', 'a stream that has sent events'],
  ])('names the second stream on one response over %s: %s', async (protocol, what) => {
    const { error } = await respond((req, res) => {
      const stream = createSseStream(req, res)
      if (what === 'a stream that has sent events') stream.send({ data: 1 })
      createSseStream(req, res)
    }, protocol)
    expect(error).toEqual(code('ERR_SSE_HEADERS_SENT'))
    expect(String(error)).toContain('already has a stream')
  })

  it('names the arguments to pass instead of the objects of a framework', async () => {
    const response = new http.ServerResponse(request)
    const fastify = { raw: request, headers: {}, method: 'GET' }
    const koa = { req: request, res: response, request: {}, response: {} }
    for (const [first, second, hint] of [
      [response, request, 'The request and the response are swapped.'],
      [fastify, { raw: response }, 'Did you mean request.raw and reply.raw (Fastify)'],
      [{ raw: request }, response, 'Did you mean request.raw and reply.raw (Fastify)'],
      [koa, koa, 'or ctx.req and ctx.res (Koa)?'],
      [request, koa, 'or ctx.req and ctx.res (Koa)?'],
      [new Request('http://localhost/'), response, 'Use createSseResponse for a web Request.'],
    ] as const)
      expect(() => createSseStream(first as never, second as never), hint).toThrow(hint)
  })

  it('rejects a response that has ended', async () => {
    const { error } = await respond((req, res) => {
      res.end('done')
      createSseStream(req, res)
    })
    expect(error).toEqual(code('ERR_SSE_RESPONSE'))
  })

  it.each<Protocol>(['http', 'h2c'])('rejects a finished response over %s', async (protocol) => {
    const thrown = deferred<unknown>()
    const { port } = await serve((req, res) => {
      res.once('close', () => {
        try {
          thrown.resolve(createSseStream(req, res))
        } catch (error) {
          thrown.resolve(error)
        }
      })
      res.end('done')
    }, protocol)
    await get(protocol, port)
    expect(await thrown.promise).toEqual(code('ERR_SSE_RESPONSE'))
  })

  it('rejects invalid options before anything is sent', async () => {
    const { error, sent } = await respond((req, res) =>
      createSseStream(req, res, { heartbeat: 'often' } as never),
    )
    expect(error).toEqual(code('ERR_SSE_OPTION'))
    expect(sent).toBe(false)
  })

  /** Returns the error that a request listener throws. */
  async function respond(handler: Handler, protocol: Protocol = 'http') {
    const thrown = deferred<{ error: unknown; sent: boolean }>()
    const { port } = await serve((req, res) => {
      try {
        handler(req, res)
        thrown.resolve({ error: undefined, sent: res.headersSent })
      } catch (error) {
        thrown.resolve({ error, sent: res.headersSent })
      }
      res.end()
    }, protocol)
    await get(protocol, port)
    return thrown.promise
  }
})

/** Sends a request without waiting for the response. */
function connectOnly(protocol: Protocol, port: number): { destroy(): void } {
  if (protocol === 'h2c') {
    const session = http2.connect(`http://127.0.0.1:${port}`).on('error', () => {})
    session
      .request()
      .on('error', () => {})
      .end()
    return session
  }
  const { request } = protocol === 'https' ? https : http
  return request({ port, host: '127.0.0.1', rejectUnauthorized: false })
    .on('error', () => {})
    .end()
}
