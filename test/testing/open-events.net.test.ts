import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import compression from 'compression'
import express from 'express'
import fastify from 'fastify'
import inject from 'light-my-request'
import { generate } from 'selfsigned'
import type { get } from 'superagent'
import supertest from 'supertest'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { EventsClient } from '../../src/testing/events-client.ts'
import { type OpenOptions, openEvents } from '../../src/testing/open-events.ts'
import { superagentAnswer } from '../../src/testing/targets/superagent.ts'
import { WaitError } from '../../src/testing/wait-error.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import { timersLeftBy } from '../support/timers.ts'

// It is installed with supertest, and not on its own.
const superagent: { get: typeof get } = createRequire(createRequire(import.meta.url).resolve('supertest'))(
  'superagent',
)

type OnStream = (stream: SseStream) => unknown

interface SourceUnderTest {
  readonly name: string
  open(onStream: OnStream, streamOptions?: SseStreamOptions, options?: OpenOptions): Promise<EventsClient>
}

function answering(onStream: OnStream, options?: SseStreamOptions): RequestListener {
  return (request, response) => void onStream(createSseStream(request, response, options))
}

/** A server that listens on a port of its own, as a URL. */
async function urlOf(listener: RequestListener): Promise<string> {
  return (await serve(listener)).url
}

function appOf(listener: RequestListener) {
  return express().get('/events', listener)
}

async function fastifyOf(listener: RequestListener) {
  const app = fastify()
  app.get('/events', (request, reply) => {
    reply.hijack()
    listener(request.raw, reply.raw)
  })
  onTestFinished(() => app.close())
  return app
}

const sources: SourceUnderTest[] = [
  {
    name: 'a URL',
    open: async (onStream, settings, options) =>
      openEvents(await urlOf(answering(onStream, settings)), options),
  },
  {
    name: 'a URL object',
    open: async (onStream, settings, options) =>
      openEvents(new URL(await urlOf(answering(onStream, settings))), options),
  },
  {
    name: 'a server that listens',
    open: async (onStream, settings, options) =>
      openEvents(
        (await serve(answering(onStream, settings))).server as ReturnType<typeof createServer>,
        options,
      ),
  },
  {
    name: 'a server that does not listen',
    open: (onStream, settings, options) => openEvents(createServer(answering(onStream, settings)), options),
  },
  {
    name: 'a server of TLS',
    async open(onStream, settings, options) {
      const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
        keyType: 'ec',
      })
      return openEvents(createSecureServer({ key, cert }, answering(onStream, settings)), options)
    },
  },
  {
    name: 'an app of Express',
    open: (onStream, settings, options) =>
      openEvents(appOf(answering(onStream, settings)), { ...options, path: '/events' }),
  },
  {
    name: 'the server of an app of Fastify',
    async open(onStream, settings, options) {
      const app = await fastifyOf(answering(onStream, settings))
      await app.ready()
      return openEvents(app.server, { ...options, path: '/events' })
    },
  },
  {
    name: 'inject of Fastify',
    async open(onStream, settings, options) {
      const app = await fastifyOf(answering(onStream, settings))
      return openEvents(app.inject({ url: '/events', payloadAsStream: true }), options)
    },
  },
  {
    name: 'light-my-request',
    open: (onStream, settings, options) =>
      openEvents(inject(answering(onStream, settings), { url: '/', payloadAsStream: true }), options),
  },
  {
    name: 'a web Response',
    async open(onStream, settings, options) {
      const request = new Request('http://localhost/')
      return openEvents(
        createSseResponse(request, (stream) => void onStream(stream), settings),
        options,
      )
    },
  },
  {
    name: 'supertest of an app',
    open: (onStream, settings, options) =>
      openEvents(
        supertest(appOf(answering(onStream, settings)))
          .get('/events')
          .expect(200),
        options,
      ),
  },
  {
    name: 'supertest of a server that listens',
    open: async (onStream, settings, options) =>
      openEvents(supertest(await urlOf(answering(onStream, settings))).get('/'), options),
  },
  {
    name: 'supertest that unpacks what it is sent',
    open: (onStream, settings, options) => {
      const app = express().use(compression())
      app.get('/', answering(onStream, { ...settings, headers: { 'Cache-Control': 'no-cache' } }))
      return openEvents(supertest(app).get('/').set('Accept-Encoding', 'gzip'), options)
    },
  },
  {
    name: 'superagent',
    open: async (onStream, settings, options) =>
      openEvents(superagent.get(await urlOf(answering(onStream, settings))), options),
  },
]

describe.each(sources)('openEvents of $name', ({ open }) => {
  it('hands out events with the defaults of the standard, and the head', async () => {
    await using client = await open((stream) => {
      stream.send({ event: 'price', id: 'é', data: { value: '🦆' } })
      stream.comment('between')
      stream.send({ data: 'a\nb', retry: 30 })
    })
    expect(await client.take(2)).toEqual([
      { event: 'price', data: '{"value":"🦆"}', id: 'é' },
      { event: 'message', data: 'a\nb', id: 'é' },
    ])
    const { status, lastEventId, retry, comments } = client
    expect({ status, lastEventId, retry, comments }).toEqual({
      status: 200,
      lastEventId: 'é',
      retry: 30,
      comments: ['between'],
    })
    expect(client.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  })

  it('hands out what comes later', async () => {
    let stream: SseStream | undefined
    await using client = await open((opened) => {
      stream = opened
    })
    const next = client.next('late')
    stream?.send({ data: 'early' })
    await nextTurn()
    stream?.send({ event: 'late', data: '' })
    expect(await next).toMatchObject({ event: 'late' })
  })

  it('tells an end from a cut', async () => {
    await using ending = await open((stream) => {
      stream.send({ data: 'last' })
      stream.close()
    })
    expect(await ending.ended()).toBe('end')
    expect(ending.events).toHaveLength(1)
    let cut: SseStream | undefined
    await using cutting = await open((stream) => {
      cut = stream
      stream.send({ data: 'last' })
    })
    await cutting.next()
    cut?.destroy()
    expect(await cutting.ended()).toBe('cut')
  })

  it('leaves like a client when it is closed', async () => {
    const streams: SseStream[] = []
    const client = await open((stream) => streams.push(stream))
    const end = closed(streams[0] as SseStream)
    await client.close()
    expect(await end).toMatchObject({ reason: 'client' })
    expect(await client.ended()).toBe('closed')
  })

  it('is a reader that stalls when it is paused, and reads on', async () => {
    const streams: SseStream[] = []
    const settings = { overflow: 'drop-newest', maxBufferedBytes: 1_000_000 } as const
    await using client = await open((stream) => streams.push(stream), settings, { paused: true })
    const [stream] = streams as [SseStream]
    const isFull = once(stream, 'drop')
    // The kernel hides megabytes on a real connection.
    for (let i = 0; i < 500 && stream.send({ id: i, data: 'x'.repeat(64 * 1024) }); i++) await nextTurn()
    for (let i = 0; i < 50; i++) stream.send({ data: 'x'.repeat(64 * 1024) })
    await isFull
    expect(client.events).toEqual([])
    client.resume()
    await stream.drained()
    stream.send({ event: 'last', data: '' })
    await client.next('last', { timeout: 10_000 })
  })

  it('stops reading when it is paused later', async () => {
    const streams: SseStream[] = []
    await using client = await open((stream) => streams.push(stream))
    streams[0]?.send({ data: 1 })
    await client.next()
    client.pause()
    streams[0]?.send({ data: 2 })
    await streams[0]?.drained()
    await nextTurn()
    await expect(client.next(undefined, { timeout: 30 })).rejects.toThrow(/The client is paused/)
    client.resume()
    expect(await client.next()).toMatchObject({ data: '2' })
  })
})

describe('openEvents', () => {
  it('sends what it is told to: path, method, headers, body and last event id', async () => {
    await using client = await openEvents(
      async (request: IncomingMessage, response: ServerResponse) => {
        const stream = createSseStream(request, response)
        const { method, url, headers } = request
        const { accept, 'x-name': name, 'content-type': type } = headers
        const body = await text(request)
        stream.send({ data: { method, url, accept, name, type, body, id: stream.lastEventId } })
      },
      {
        path: '/a?b=c',
        method: 'POST',
        headers: { 'X-Name': 'value', 'Content-Type': 'application/json' },
        body: '{"é":1}',
        lastEventId: 'три',
      },
    )
    expect(JSON.parse((await client.next()).data)).toEqual({
      method: 'POST',
      url: '/a?b=c',
      accept: 'text/event-stream',
      name: 'value',
      type: 'application/json',
      body: '{"é":1}',
      id: 'три',
    })
    expect(client.lastEventId).toBe('три')
  })

  it('keeps the credentials of a URL, with a path of its own', async () => {
    const { port } = await serve((request, response) => {
      createSseStream(request, response).send({ data: request.headers.authorization })
    })
    await using client = await openEvents(`http://user:secret@127.0.0.1:${port}`, { path: '/a' })
    expect(await client.next()).toMatchObject({ data: 'Basic dXNlcjpzZWNyZXQ=' })
  })

  it('keeps the path of a URL, and another Accept', async () => {
    const { url } = await serve((request, response) => {
      createSseStream(request, response).send({ data: `${request.url} ${request.headers.accept}` })
    })
    await using client = await openEvents(`${url}/events?a=1`, { headers: new Headers({ accept: '*/*' }) })
    expect(await client.next()).toMatchObject({ data: '/events?a=1 */*' })
  })

  it('asks its server, whatever the path looks like', async () => {
    const server = createServer((request, response) => {
      createSseStream(request, response).send({ data: request.url })
    })
    for (const [path, url] of [
      ['//events', '//events'],
      ['http://127.0.0.2/x', '/http://127.0.0.2/x'],
      ['events?a=1', '/events?a=1'],
    ]) {
      await using client = await openEvents(server, { path })
      expect(await client.next()).toMatchObject({ data: url })
    }
  })

  it('sends a body with any method', async () => {
    const server = createServer(async (request, response) => {
      const body = await text(request)
      createSseStream(request, response).send({ data: `${request.method} ${body}` })
    })
    for (const method of ['GET', 'DELETE', 'POST']) {
      await using client = await openEvents(server, { method, body: 'hello' })
      expect(await client.next()).toMatchObject({ data: `${method} hello` })
    }
    const headers = { 'Transfer-Encoding': 'chunked' }
    await using chunked = await openEvents(server, { method: 'POST', body: 'hello', headers })
    expect(await chunked.next()).toMatchObject({ data: 'POST hello' })
  })

  it('asks for nothing that changes the bytes, over a connection of its own', async () => {
    const asked: IncomingMessage[] = []
    const { url } = await serve((request, response) => {
      asked.push(request)
      createSseStream(request, response)
    })
    await using _one = await openEvents(url)
    await using _other = await openEvents(url)
    expect(asked.map(({ headers }) => headers['accept-encoding'])).toEqual([undefined, undefined])
    expect(asked.map(({ headers }) => headers.connection)).toEqual(['close', 'close'])
    expect(new Set(asked.map(({ socket }) => socket)).size).toBe(2)
  })

  it.each<[string, (listener: RequestListener) => Promise<EventsClient>]>([
    ['an app', (listener) => openEvents(express().use(listener))],
    ['supertest', (listener) => openEvents(supertest(listener).get('/'))],
    ['a plain superagent', async (listener) => openEvents(superagent.get(await urlOf(listener)))],
    ['inject', (listener) => openEvents(inject(listener, { url: '/', payloadAsStream: true }))],
  ])('opens whatever the status, and shows what came instead of events: %s', async (_, open) => {
    const client = await open((_request, response) => {
      response.writeHead(503, { 'Content-Type': 'text/plain', 'Set-Cookie': ['a=1', 'b=2'] })
      response.end('Come back\nlater')
    })
    expect(client.status).toBe(503)
    expect(client.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    await expect(client.next()).rejects.toThrow(
      'No event before the stream ended: status 503, text/plain. 0 events and 0 comments came. ' +
        'The body began: "Come back\\nlater"',
    )
    await client.close()
  })

  it('takes an answer without a body for one that has ended', async () => {
    const refused = () => openEvents(new Response(null, { status: 204 }))
    expect(await (await refused()).ended()).toBe('end')
    const onlyHead = supertest(answering(() => {})).head('/')
    await using client = await openEvents(onlyHead)
    expect([client.status, await client.ended()]).toEqual([200, 'end'])
  })

  it.each([200, 204, 304])('sees the end of a %d without a body by supertest', async (status) => {
    const request = supertest((_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(status).end()
    }).get('/')
    await using client = await openEvents(request)
    expect([client.status, await client.ended()]).toEqual([status, 'end'])
  })

  it('asks for no compression by supertest, unless it is told to', async () => {
    const app = express().get('/', (request, response) => {
      createSseStream(request, response).send({ data: request.headers['accept-encoding'] })
    })
    await using client = await openEvents(supertest(app).get('/'))
    expect(await client.next()).toMatchObject({ data: 'identity' })
    await using own = await openEvents(supertest(app).get('/').set('Accept-Encoding', 'gzip'))
    expect(await own.next()).toMatchObject({ data: 'gzip' })
  })

  it('takes what a handler of web requests answers later', async () => {
    const handler = sse(async function* () {
      yield { data: 'one' }
    })
    await using client = await openEvents(handler(new Request('http://localhost/')))
    expect(await client.next()).toMatchObject({ data: 'one' })
  })

  it('closes a server that did not listen with its last client, and no other', async () => {
    const server = createServer(answering((stream) => stream.send({ data: 'here' })))
    const one = await openEvents(server)
    const other = await openEvents(server)
    await one.close()
    expect(server.listening).toBe(true)
    expect(await other.next()).toMatchObject({ data: 'here' })
    expect(await other.ended({ timeout: 20 }).catch(String)).toMatch(/^WaitError: No end within 20 ms/)
    await other.close()
    await other.close()
    expect(server.listening).toBe(false)
    await using again = await openEvents(server)
    expect(await again.next()).toMatchObject({ data: 'here' })

    const { server: mine } = await serve(answering(() => {}))
    await (await openEvents(mine as Server)).close()
    expect(mine.listening).toBe(true)
  })

  it('closes a server that others still use', async () => {
    const server = createServer(answering(() => {}))
    const client = await openEvents(server)
    const { port } = server.address() as AddressInfo
    const other = await openEvents(`http://127.0.0.1:${port}`)
    await client.close()
    expect(await other.ended()).toBe('cut')
  })

  it('leaves no timer behind', async () => {
    expect(await timersLeftBy(() => openEvents(new Response('')))).toBe(0)
  })

  it('sends a request of superagent without a warning', async () => {
    const warn = vi.spyOn(console, 'warn')
    onTestFinished(() => warn.mockRestore())
    const url = await urlOf(answering((stream) => stream.close()))
    await using client = await openEvents(superagent.get(url))
    await client.ended()
    expect(warn).not.toHaveBeenCalled()
  })

  it('finds a server that listens on one kind of address', async () => {
    for (const host of ['0.0.0.0', '::', '::1', '127.0.0.1']) {
      const server = createServer(answering((stream) => stream.send({ data: host })))
      await once(server.listen(0, host), 'listening')
      const client = await openEvents(server)
      expect(await client.next()).toMatchObject({ data: host })
      await client.close()
      server.close()
    }
  })

  it('says what supertest expected, when it is closed', async () => {
    const request = supertest(answering(() => {}))
      .get('/')
      .expect(418)
    const client = await openEvents(request)
    await expect(client.close()).rejects.toThrow('expected 418')
  })

  it('says what else supertest was told to expect, also where that fails with a status', async () => {
    const failure = Object.assign(new Error('a teapot was expected'), { status: 418 })
    const request = supertest(answering(() => {}))
      .get('/')
      .expect(() => {
        throw failure
      })
    const client = await openEvents(request)
    await expect(client.close()).rejects.toBe(failure)
  })

  it('takes the first answer that supertest gets, and asks no second time', async () => {
    let requests = 0
    const app = (_request: IncomingMessage, response: ServerResponse) => {
      requests += 1
      response.writeHead(503).end('later')
    }
    const client = await openEvents(supertest(app).get('/').retry(1))
    expect([client.status, await client.ended()]).toEqual([503, 'end'])
    await client.close()
    expect(requests).toBe(1)
  })

  it('opens what supertest asks over HTTP/2, and tells an end from a cut', async () => {
    for (const [finish, end] of [
      ['close', 'end'],
      ['destroy', 'cut'],
    ] as const) {
      let stream: SseStream | undefined
      const app = answering((opened) => {
        stream = opened
        stream.send({ data: 'here' })
      })
      const client = await openEvents(supertest(app, { http2: true }).get('/'))
      expect(await client.next()).toMatchObject({ data: 'here' })
      expect(client.headers.get('content-type')).toMatch('text/event-stream')
      stream?.[finish]()
      expect(await client.ended()).toBe(end)
      await client.close()
    }
  })

  it('closes a client of supertest before others of the same server', async () => {
    const server = createServer(answering(() => {}))
    const first = await openEvents(supertest(server).get('/'))
    const second = await openEvents(server)
    await first.close()
    expect(server.listening).toBe(true)
    await second.close()
    expect(server.listening).toBe(false)
  })

  it('closes a server that it has started with what is no request any more', async () => {
    const server = createServer(answering(() => {})).on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
      socket.on('error', () => {})
    })
    const client = await openEvents(server)
    const { port } = server.address() as AddressInfo
    const upgrading = request({ port, headers: { Connection: 'Upgrade', Upgrade: 'x' } }).end()
    const [, socket] = (await once(upgrading, 'upgrade')) as [unknown, Socket]
    await client.close()
    expect(server.listening).toBe(false)
    socket.destroy()
  })

  it('opens a server again that it is just closing', async () => {
    const server = createServer(answering((stream) => stream.send({ data: 'here' })))
    const client = await openEvents(server)
    const close = server.close.bind(server)
    const again = new Promise<EventsClient>((resolve) => {
      vi.spyOn(server, 'close').mockImplementationOnce(() => {
        close()
        resolve(openEvents(server))
        return server
      })
    })
    await client.close()
    await using second = await again
    expect(await second.next()).toMatchObject({ data: 'here' })
  })

  it('leaves a server alone that somebody else has closed and opened again', async () => {
    const server = createServer(answering(() => {}))
    const client = await openEvents(server)
    const closing = once(server.close(), 'close')
    server.closeAllConnections()
    await closing
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    await client.close()
    expect(server.listening).toBe(true)
  })

  it('asks nothing by supertest once it is too late', async () => {
    const asked = vi.fn()
    const server = createServer(asked)
    const late = new AbortController()
    late.abort(new Error('late'))
    await expect(superagentAnswer(supertest(server).get('/'), late.signal)).rejects.toThrow('late')
    expect([asked.mock.calls.length, server.listening]).toEqual([0, false])
  })

  it('opens many clients of a server at once without a warning', async () => {
    const warn = vi.fn()
    process.on('warning', warn)
    onTestFinished(() => void process.off('warning', warn))
    const server = createServer(answering((stream) => stream.send({ data: 'here' })))
    const clients = await Promise.all(Array.from({ length: 20 }, () => openEvents(server)))
    for (const client of clients) await client.close()
    await nextTurn()
    expect(warn).not.toHaveBeenCalled()
  })

  it('has closed its connection when it is closed', async () => {
    const onClose = vi.fn()
    const onSocket = (message: unknown) => (message as { socket: Socket }).socket.on('close', onClose)
    subscribe('net.client.socket', onSocket)
    onTestFinished(() => void unsubscribe('net.client.socket', onSocket))
    const client = await openEvents(await urlOf(answering(() => {})))
    await client.close()
    expect(onClose).toHaveBeenCalledOnce()
  })

  it('says that a server of a pipe has no URL', async () => {
    const path = join(tmpdir(), `spillway-${process.pid}.sock`)
    const server = createServer().listen(path)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    await expect(openEvents(server)).rejects.toThrow('A server of a pipe has no URL')
  })

  it('closes a client of supertest that was paused at the end of its stream', async () => {
    const streams: SseStream[] = []
    const request = supertest(answering((stream) => streams.push(stream))).get('/')
    const client = await openEvents(request, { paused: true })
    const end = closed(streams[0] as SseStream)
    streams[0]?.close()
    await end
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    await client.close()
  })

  it('reads nothing ahead of a web Response that is paused', async () => {
    const streams: SseStream[] = []
    const request = new Request('http://localhost/')
    await using client = await openEvents(createSseResponse(request, (stream) => void streams.push(stream)))
    streams[0]?.send({ data: 'first' })
    await client.next()
    client.pause()
    for (let i = 0; i < 4; i++) {
      streams[0]?.send({ data: 'x'.repeat(10_000) })
      await nextTurn()
    }
    expect(streams[0]?.bufferedEvents).toBeGreaterThan(0)
  })

  it.each<[string, (server: Server) => Promise<EventsClient>]>([
    ['a server', (server) => openEvents(server, { timeout: 1_000 })],
    ['supertest', (server) => openEvents(supertest(server).get('/'), { timeout: 1_000 })],
  ])(
    'waits for the head no longer than the limit, and lets go of what it waited for: %s',
    async (_, open) => {
      const left: Array<Promise<unknown>> = []
      const server = createServer((_request, response) => void left.push(once(response, 'close')))
      await expect(open(server)).rejects.toThrow(/^No head within 1000 ms\.$/)
      await Promise.all(left)
      expect(left).toHaveLength(1)
      if (server.listening) await once(server, 'close')
    },
  )

  it('names the option that an inject needs which is not answered before its end', async () => {
    const buffered = openEvents(
      inject(
        answering(() => {}),
        '/',
      ),
      { timeout: 50 },
    )
    await expect(buffered).rejects.toThrow(/payloadAsStream/)
    await expect(buffered).rejects.toMatchObject({ code: 'ERR_SSE_WAIT', name: 'WaitError', events: [] })
  })

  it('leaves a client that was answered too late', async () => {
    const late = deferred<Response>()
    await expect(openEvents(late.promise, { timeout: 20 })).rejects.toThrow(WaitError)
    const streams: SseStream[] = []
    late.resolve(createSseResponse(new Request('http://localhost/'), (stream) => void streams.push(stream)))
    expect(await closed(streams[0] as SseStream)).toMatchObject({ reason: 'client' })
  })

  it.each<[string, (port: number) => Promise<unknown>]>([
    ['a URL', (port) => openEvents(`http://127.0.0.1:${port}`)],
    ['supertest', (port) => openEvents(supertest(`http://127.0.0.1:${port}`).get('/'))],
  ])('fails with the error of a connection that is refused: %s', async (_, open) => {
    const server = createServer().listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    await expect(open(port)).rejects.toThrow(/ECONNREFUSED/)
  })

  it('takes a source of one kind or another', async () => {
    const source = new Response('') as Response | Server
    expect(await (await openEvents(source)).ended()).toBe('end')
  })

  it('refuses what is no source, and options that there are not', async () => {
    await expect(openEvents({} as Response)).rejects.toThrow(TypeError)
    await expect(openEvents(undefined as never)).rejects.toThrow('No source of events: undefined.')
    await expect(openEvents('http://localhost/', { timeOut: 5 } as object)).rejects.toThrow(
      /no option "timeOut"/,
    )
    await expect(openEvents('http://localhost/', { timeout: -1 })).rejects.toMatchObject({
      code: 'ERR_SSE_OPTION',
    })
    // @ts-expect-error: what was asked already takes no method.
    await expect(openEvents(new Response(), { method: 'POST' })).rejects.toThrow(/no option "method"/)
  })
})
