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
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import express from 'express'
import fastify from 'fastify'
import inject from 'light-my-request'
import { generate } from 'selfsigned'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { EventsClient } from '../../src/testing/events-client.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { type OpenOptions, openEvents } from '../../src/testing/open-events.ts'
import { WaitError } from '../../src/testing/wait-error.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import { countTimersOf } from '../support/timers.ts'

type OnStream = (stream: SseStream) => unknown

interface SourceUnderTest {
  readonly name: string
  open(onStream: OnStream, streamOptions?: SseStreamOptions, options?: OpenOptions): Promise<EventsClient>
}

function streaming(onStream: OnStream, options?: SseStreamOptions): RequestListener {
  return (request, response) => void onStream(createSseStream(request, response, options))
}

/** Starts a server and returns its URL. */
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
      openEvents(await urlOf(streaming(onStream, settings)), options),
  },
  {
    name: 'a URL object',
    open: async (onStream, settings, options) =>
      openEvents(new URL(await urlOf(streaming(onStream, settings))), options),
  },
  {
    name: 'a server that listens',
    open: async (onStream, settings, options) =>
      openEvents(
        (await serve(streaming(onStream, settings))).server as ReturnType<typeof createServer>,
        options,
      ),
  },
  {
    name: 'a server that does not listen',
    open: (onStream, settings, options) => openEvents(createServer(streaming(onStream, settings)), options),
  },
  {
    name: 'a TLS server',
    async open(onStream, settings, options) {
      const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
        keyType: 'ec',
      })
      return openEvents(createSecureServer({ key, cert }, streaming(onStream, settings)), options)
    },
  },
  {
    name: 'an Express app',
    open: (onStream, settings, options) =>
      openEvents(appOf(streaming(onStream, settings)), { ...options, path: '/events' }),
  },
  {
    name: 'the server of a Fastify app',
    async open(onStream, settings, options) {
      const app = await fastifyOf(streaming(onStream, settings))
      await app.ready()
      return openEvents(app.server, { ...options, path: '/events' })
    },
  },
  {
    name: 'inject() of Fastify',
    async open(onStream, settings, options) {
      const app = await fastifyOf(streaming(onStream, settings))
      return openEvents(app.inject({ url: '/events', payloadAsStream: true }), options)
    },
  },
  {
    name: 'inject() of light-my-request',
    open: (onStream, settings, options) =>
      openEvents(inject(streaming(onStream, settings), { url: '/', payloadAsStream: true }), options),
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
]

describe.each(sources)('openEvents of $name', ({ open }) => {
  it('returns events with the default values of the standard, and the response headers', async () => {
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

  it('returns an event that is sent after the client has started to wait', async () => {
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

  it('distinguishes the end of the stream from a cut connection', async () => {
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

  it('disconnects like a browser when the client is closed', async () => {
    const streams: SseStream[] = []
    const client = await open((stream) => streams.push(stream))
    const end = closed(streams[0] as SseStream)
    await client.close()
    expect(await end).toMatchObject({ reason: 'client' })
    expect(await client.ended()).toBe('closed')
  })

  it('stalls the stream while the client is paused and resumes reading', async () => {
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

  it('stops reading when the client is paused after it was opened', async () => {
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
  it('sends the given path, method, headers, body and last event id', async () => {
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

  it('keeps the credentials of a URL when a path is given', async () => {
    const { port } = await serve((request, response) => {
      createSseStream(request, response).send({ data: request.headers.authorization })
    })
    await using client = await openEvents(`http://user:secret@127.0.0.1:${port}`, { path: '/a' })
    expect(await client.next()).toMatchObject({ data: 'Basic dXNlcjpzZWNyZXQ=' })
  })

  it('keeps the path of a URL and a given Accept header', async () => {
    const { url } = await serve((request, response) => {
      createSseStream(request, response).send({ data: `${request.url} ${request.headers.accept}` })
    })
    await using client = await openEvents(`${url}/events?a=1`, { headers: new Headers({ accept: '*/*' }) })
    expect(await client.next()).toMatchObject({ data: '/events?a=1 */*' })
  })

  it('sends the request to the given server even if the path looks like another host', async () => {
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

  it('sends a body with GET, DELETE and POST', async () => {
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

  it('requests no compression and opens a separate connection per client', async () => {
    const requests: IncomingMessage[] = []
    const { url } = await serve((request, response) => {
      requests.push(request)
      createSseStream(request, response)
    })
    await using _one = await openEvents(url)
    await using _other = await openEvents(url)
    expect(requests.map(({ headers }) => headers['accept-encoding'])).toEqual([undefined, undefined])
    expect(requests.map(({ headers }) => headers.connection)).toEqual(['close', 'close'])
    expect(new Set(requests.map(({ socket }) => socket)).size).toBe(2)
  })

  it.each<[string, (listener: RequestListener) => Promise<EventsClient>]>([
    ['an Express app', (listener) => openEvents(express().use(listener))],
    ['inject()', (listener) => openEvents(inject(listener, { url: '/', payloadAsStream: true }))],
  ])('opens a response with status 503 from %s and shows its body in the error', async (_, open) => {
    const client = await open((_request, response) => {
      response.writeHead(503, { 'Content-Type': 'text/plain', 'Set-Cookie': ['a=1', 'b=2'] })
      response.end('Come back\nlater')
    })
    expect(client.status).toBe(503)
    expect(client.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    await expect(client.next()).rejects.toThrow(
      'No event before the stream ended: status 503, text/plain. Received 0 events and 0 comments. ' +
        'The body starts with "Come back\\nlater"',
    )
    await client.close()
  })

  it('reports the end of a response without a body', async () => {
    const noContent = () => openEvents(new Response(null, { status: 204 }))
    expect(await (await noContent()).ended()).toBe('end')
    await using client = await openEvents(
      streaming(() => {}),
      { method: 'HEAD' },
    )
    expect([client.status, await client.ended()]).toEqual([200, 'end'])
  })

  it('accepts a promise of a web Response', async () => {
    const handler = sse(async function* () {
      yield { data: 'one' }
    })
    await using client = await openEvents(handler(new Request('http://localhost/')))
    expect(await client.next()).toMatchObject({ data: 'one' })
  })

  it('closes a server that it started with the last client, and leaves a listening server open', async () => {
    const server = createServer(streaming((stream) => stream.send({ data: 'here' })))
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

    const { server: listeningServer } = await serve(streaming(() => {}))
    await (await openEvents(listeningServer as Server)).close()
    expect(listeningServer.listening).toBe(true)
  })

  it('closes a server that it started although another client is connected', async () => {
    const server = createServer(streaming(() => {}))
    const client = await openEvents(server)
    const { port } = server.address() as AddressInfo
    const other = await openEvents(`http://127.0.0.1:${port}`)
    await client.close()
    expect(await other.ended()).toBe('cut')
  })

  it('clears its timers', async () => {
    expect(await countTimersOf(() => openEvents(new Response('')))).toBe(0)
  })

  it('connects to a server that listens on IPv4 only, on IPv6 only or on all addresses', async () => {
    for (const host of ['0.0.0.0', '::', '::1', '127.0.0.1']) {
      const server = createServer(streaming((stream) => stream.send({ data: host })))
      await once(server.listen(0, host), 'listening')
      const client = await openEvents(server)
      expect(await client.next()).toMatchObject({ data: host })
      await client.close()
      server.close()
    }
  })

  it('destroys upgraded sockets when it closes a server that it started', async () => {
    const server = createServer(streaming(() => {})).on('upgrade', (_request, socket) => {
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

  it('restarts a server that is closing', async () => {
    const server = createServer(streaming((stream) => stream.send({ data: 'here' })))
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

  it('leaves a server open that was closed and reopened by the test', async () => {
    const server = createServer(streaming(() => {}))
    const client = await openEvents(server)
    const closing = once(server.close(), 'close')
    server.closeAllConnections()
    await closing
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    await client.close()
    expect(server.listening).toBe(true)
  })

  it('opens twenty clients of one server without a process warning', async () => {
    const warn = vi.fn()
    process.on('warning', warn)
    onTestFinished(() => void process.off('warning', warn))
    const server = createServer(streaming((stream) => stream.send({ data: 'here' })))
    const clients = await Promise.all(Array.from({ length: 20 }, () => openEvents(server)))
    for (const client of clients) await client.close()
    await nextTurn()
    expect(warn).not.toHaveBeenCalled()
  })

  it('closes its connection before close() resolves', async () => {
    const onClose = vi.fn()
    const onSocket = (message: unknown) => (message as { socket: Socket }).socket.on('close', onClose)
    subscribe('net.client.socket', onSocket)
    onTestFinished(() => void unsubscribe('net.client.socket', onSocket))
    const client = await openEvents(await urlOf(streaming(() => {})))
    await client.close()
    expect(onClose).toHaveBeenCalledOnce()
  })

  it('rejects a server that listens on a pipe', async () => {
    const path = join(tmpdir(), `spillway-${process.pid}.sock`)
    const server = createServer().listen(path)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    await expect(openEvents(server)).rejects.toThrow('The server listens on a pipe, which has no URL')
  })

  it('reads nothing ahead from a web Response while the client is paused', async () => {
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

  it('rejects and closes the request when the response headers exceed the timeout', async () => {
    const closedResponses: Array<Promise<unknown>> = []
    const server = createServer((_request, response) => void closedResponses.push(once(response, 'close')))
    await expect(openEvents(server, { timeout: 1_000 })).rejects.toThrow(
      /^No response headers within 1000 ms\.$/,
    )
    await Promise.all(closedResponses)
    expect(closedResponses).toHaveLength(1)
    if (server.listening) await once(server, 'close')
  })

  it('names payloadAsStream when inject() resolves too late', async () => {
    const buffered = openEvents(
      inject(
        streaming(() => {}),
        '/',
      ),
      { timeout: 50 },
    )
    await expect(buffered).rejects.toThrow(/payloadAsStream/)
    await expect(buffered).rejects.toMatchObject({ code: 'ERR_SSE_WAIT', name: 'WaitError', events: [] })
  })

  it('disconnects from a response that arrives after the timeout', async () => {
    const late = deferred<Response>()
    await expect(openEvents(late.promise, { timeout: 20 })).rejects.toThrow(WaitError)
    const streams: SseStream[] = []
    late.resolve(createSseResponse(new Request('http://localhost/'), (stream) => void streams.push(stream)))
    expect(await closed(streams[0] as SseStream)).toMatchObject({ reason: 'client' })
  })

  it('rejects with the connection error when the connection is refused', async () => {
    const server = createServer().listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    await expect(openEvents(`http://127.0.0.1:${port}`)).rejects.toThrow(/ECONNREFUSED/)
  })

  // A request of supertest, which is sent when it is awaited.
  it('rejects a supertest request without sending it and names openEvents(app, …)', async () => {
    const send = vi.fn()
    // biome-ignore lint/suspicious/noThenProperty: awaiting the request would send it.
    const request = { buffer: send, parse: send, end: send, abort: send, then: send }
    const opening = openEvents(request as never)
    await expect(opening).rejects.toThrow(TypeError)
    await expect(opening).rejects.toThrow('openEvents(app, { path, headers })')
    expect(send).not.toHaveBeenCalled()
  })

  it('accepts a source whose type is a union', async () => {
    const source = new Response('') as Response | Server
    expect(await (await openEvents(source)).ended()).toBe('end')
  })

  it('rejects unsupported sources and unknown options', async () => {
    await expect(openEvents({} as Response)).rejects.toThrow(TypeError)
    await expect(openEvents(undefined as never)).rejects.toThrow(
      'openEvents expects a URL, a server, an app, a Response or a response of inject(), not undefined.',
    )
    await expect(openEvents('http://localhost/', { timeOut: 5 } as object)).rejects.toThrow(
      /Unknown option "timeOut"/,
    )
    await expect(openEvents('http://localhost/', { timeout: -1 })).rejects.toMatchObject({
      code: 'ERR_SSE_OPTION',
    })
    // @ts-expect-error: the request of a Response was sent before, so a method has no effect.
    await expect(openEvents(new Response(), { method: 'POST' })).rejects.toThrow(/Unknown option "method"/)
  })
})

describe('openEvents of another format', () => {
  const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const

  /** Serves the events of a hub that has two. */
  async function published() {
    const news = new Hub().channel('news')
    const ids = [
      await news.publish({ event: 'price', data: { value: 'é' } }),
      await news.publish({ data: 'a\nb', retry: 500 }),
    ]
    return { news, ids, listener: streaming((stream) => news.subscribe(stream, { from: 'start' }), FORMATS) }
  }

  it.each(['ndjson', 'json', 'event-stream'])('reads %s', async (format) => {
    const { ids, listener } = await published()
    const client = await openEvents(listener, { path: `/?format=${format}` })
    expect(await client.take(2)).toEqual([
      { event: 'price', data: '{"value":"é"}', id: ids[0] },
      { event: 'message', data: 'a\nb', id: ids[1] },
    ])
    expect(client.lastEventId).toBe(ids[1])
    expect(client.comments).toEqual([])
    if (format === 'json') expect([await client.ended(), client.retry]).toEqual(['end', 0])
    else expect(client.retry).toBe(500)
    await client.close()
  })

  it('resumes, and reads a position and heartbeats', async () => {
    using time = holdClock()
    const { news, ids, listener } = await published()
    const path = '/?format=ndjson'
    const client = await openEvents(listener, { path, lastEventId: ids[0] as string })
    expect((await client.next()).id).toBe(ids[1])
    time.advance(20_000)
    expect(await client.comment()).toBe('')
    const id = await news.publish({ data: 1 })
    expect(await client.next()).toEqual({ event: 'message', data: '1', id })
    await client.close()
    const empty = await openEvents(listener, { path: '/?format=json&hold=0', lastEventId: id })
    expect([await empty.ended(), empty.events, empty.lastEventId]).toEqual(['end', [], id])
    await expect(empty.next()).rejects.toThrow('status 200, application/json. Received 0 events')
    await empty.close()
  })

  it('reads no events from JSON of something else', async () => {
    const body = '{"error":"sorry"}\nnull\n7\n{"events":[null,1]}\n{"event":1,"data":2}\nnot JSON\n'
    const listener: RequestListener = (_request, response) => {
      response.writeHead(500, { 'Content-Type': 'application/json' }).end(body)
    }
    const client = await openEvents(listener)
    const error =
      'status 500, application/json. Received 0 events and 0 comments. The body starts with "{\\"error'
    await expect(client.next()).rejects.toThrow(error)
    await client.close()
  })
})
