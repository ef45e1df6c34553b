import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SseError } from '../../src/errors.ts'
import type { SseEvent } from '../../src/event/event.ts'
import { answerRequest } from '../../src/http/answer-request.ts'
import { resolveHandlerOptions, type SseHandlerOptions } from '../../src/http/handler-options.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { type Client, type Get, get, rawClient } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

type AnyHandler = (stream: SseStream, request: IncomingMessage, response: ServerResponse) => unknown

interface HandlerSetup {
  readonly options?: SseHandlerOptions
  readonly protocol?: Protocol
  /** Runs before the handler, as a middleware does. */
  readonly prepare?: (...args: Parameters<Handler>) => unknown
  readonly onHeadersError?: (error: unknown, response: ServerResponse) => void
}

/** The result of `answerRequest`, and whether the response headers had been sent by then. */
interface Outcome {
  readonly resolved?: boolean
  readonly rejected?: unknown
  readonly areHeadersSent: boolean
}

/** Starts a server that calls a handler, as the adapter of a framework does. */
async function serveHandler(
  handler: AnyHandler,
  { options, protocol, prepare, onHeadersError }: HandlerSetup = {},
) {
  const outcome = deferred<Outcome>()
  const served = await serve(async (request, response) => {
    await prepare?.(request, response)
    const hooks = onHeadersError && { onHeadersError: (error: unknown) => onHeadersError(error, response) }
    const settings = resolveHandlerOptions(options)
    const args = [request, response] as const
    try {
      const resolved = await answerRequest(request, response, settings, handler as never, args, hooks)
      outcome.resolve({ resolved, areHeadersSent: response.headersSent })
      if (!resolved) response.end('something else')
    } catch (rejected) {
      outcome.resolve({ rejected, areHeadersSent: response.headersSent })
      if (!response.headersSent) response.writeHead(500).end('sorry')
    }
  }, protocol)
  return { ...served, outcome: outcome.promise }
}

const requestOf = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

async function open(handler: AnyHandler, setup: HandlerSetup = {}, request: Get = {}) {
  const { port, outcome } = await serveHandler(handler, setup)
  return { outcome, port, client: await get(setup.protocol ?? 'http', port, request) }
}

/** Resolves with how a body ended. A connection that is lost before the response headers counts as cut. */
async function endOf(client: Promise<Client>): Promise<'end' | 'cut'> {
  return client.then(
    ({ ended }) => ended,
    () => 'cut',
  )
}

const dataOf = ({ body }: Client) => parseEvents(body).map(({ data }) => data)

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

/** Returns an error with a name, because an abort is recognised by its name. */
const named = (name: string) => Object.assign(new Error(`a failure named ${name}`), { name })

describe('the response headers', () => {
  it('are sent at the end of the turn in which the handler was called', async () => {
    const sent: boolean[] = []
    const { client, outcome } = await open(async (_stream, _request, response) => {
      sent.push(response.headersSent)
      for (let i = 0; i < 100; i++) await undefined
      sent.push(response.headersSent)
      await nextTurn()
      sent.push(response.headersSent)
    })
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
    expect(sent).toEqual([false, false, true])
    await client.until((body) => /^:\nretry: \d+\n: heartbeat \d+\n$/.test(body))
  })

  // A framework may set headers after its handlers have resolved, as Koa does.
  it('are sent after answerRequest() has resolved for a handler that returns immediately', async () => {
    const { client, outcome } = await open((stream) => stream.send({ data: 1 }))
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: false })
    await client.until('data: 1\n\n')
  })

  it('are sent within the turn when the queue is full, and a later exception of the handler cuts the body', async () => {
    const failure = new Error('too late')
    const { client, outcome } = await open(
      (stream, _request, response) => {
        stream.send({ data: 1 })
        expect(response.headersSent).toBe(false)
        stream.send({ data: 2 })
        expect(response.headersSent).toBe(true)
        throw failure
      },
      { options: { maxBufferedEvents: 1 } },
    )
    expect(await outcome).toEqual({ rejected: failure, areHeadersSent: true })
    expect(client.status).toBe(200)
    expect(await client.ended).toBe('cut')
  })

  it('are those of a middleware that responds to HEAD while authorize decides', async () => {
    let respond = () => {}
    const authorize = () => {
      respond()
      return true
    }
    const prepare: HandlerSetup['prepare'] = (_request, response) => {
      respond = () => response.writeHead(503).flushHeaders()
    }
    const setup = { options: { authorize }, prepare }
    const { client, outcome } = await open(() => expect.unreachable(), setup, { method: 'HEAD' })
    expect(client.status).toBe(503)
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
  })

  it('are the whole response to HEAD, and the handler is not called', async () => {
    const { client, outcome } = await open(() => expect.unreachable(), {}, { method: 'HEAD' })
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
    expect(client.headers['content-type']).toContain('text/event-stream')
    expect(await client.ended).toBe('end')
  })

  it('are not sent when the client refuses event streams, and the handler is not called', async () => {
    const accept = { headers: { accept: 'text/event-stream;q=0' } }
    const { client, outcome } = await open(() => expect.unreachable(), {}, accept)
    expect(await outcome).toEqual({ resolved: false, areHeadersSent: false })
    await client.until('something else')
    expect(client.headers).not.toHaveProperty('content-type')
    expect(client.headers.vary).toBe('Accept')
  })
})

describe('a writeHead that throws', () => {
  const failure = new Error('A middleware’s own writeHead failed.')

  const prepare: Handler = (_request, response) => {
    const { writeHead } = response
    response.writeHead = () => {
      // Throws once, as a listener of `on-headers` does.
      response.writeHead = writeHead
      throw failure
    }
  }

  it.each<[string, AnyHandler]>([
    ['does nothing', () => {}],
    ['sends an event', (stream) => stream.send({ data: 1 })],
    [
      'sends more events than the queue may hold',
      (stream) => ['a', 'b', 'c'].forEach((data) => void stream.send({ data })),
    ],
    ['closes the stream', (stream) => stream.close()],
    ['is asynchronous', () => nextTurn()],
  ])('calls onHeadersError once, which may respond, when the handler %s', async (_action, handler) => {
    const errors: unknown[] = []
    const reasons: unknown[] = []
    const { client, outcome } = await open(
      (stream, ...rest) => {
        stream.once('close', (reason) => reasons.push(reason))
        const returned = handler(stream, ...rest)
        // The hook is not called during a `send`.
        expect(errors).toEqual([])
        return returned
      },
      {
        prepare,
        options: { maxBufferedEvents: 2 },
        onHeadersError: (error, response) => {
          errors.push(error, response.headersSent)
          response.writeHead(500).end('sorry')
        },
      },
    )
    expect(client.status).toBe(500)
    expect(client.headers).not.toHaveProperty('content-type')
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('sorry')
    expect(errors).toEqual([failure, false])
    expect(await outcome).toMatchObject({ resolved: true })
    expect(reasons).toHaveLength(1)
  })

  it('closes the stream with its error', async () => {
    const end = deferred<unknown>()
    await open((stream) => closed(stream).then(end.resolve), {
      prepare,
      onHeadersError: (_error, response) => response.end(),
    })
    expect(await end.promise).toEqual({ reason: 'error', error: failure })
  })

  it.each<Protocol>(['http', 'h2c'])(
    'cuts the connection if there is no onHeadersError, over %s',
    async (protocol) => {
      const { port } = await serveHandler(() => {}, { prepare, protocol })
      expect(await requestWithoutResponse(protocol, port).isCut).toBe(true)
    },
  )

  it('does not delay other streams of the same turn', async () => {
    const both = deferred<void>()
    const waiting: Array<() => void> = []
    const { port } = await serve((request, response) => {
      waiting.push(() => {
        if (request.url === '/broken') prepare(request, response)
        const handler = (stream: SseStream) => stream.send({ data: 'complete' })
        void answerRequest(request, response, resolveOptions({}), handler, [])
      })
      if (waiting.length === 2) both.resolve()
    })
    const broken = endOf(get('http', port, { path: '/broken' }))
    await expect.poll(() => waiting.length).toBe(1)
    const complete = get('http', port)
    await both.promise
    for (const respond of waiting) respond()
    await (await complete).until('data: complete\n\n')
    expect(await broken).toBe('cut')
  })
})

describe('response headers that wait for the handler', () => {
  const options: SseHandlerOptions = { maxHeaderDelay: 600_000 }

  it.each<Protocol>(['http', 'h2c'])(
    'are not sent when the client disconnects, which closes the stream, over %s (rule 29)',
    async (protocol) => {
      const opened = deferred<SseStream>()
      const handler: AnyHandler = async (stream) => {
        opened.resolve(stream)
        await once(stream, 'close')
      }
      const { port, outcome } = await serveHandler(handler, { protocol, options })
      const { disconnect } = requestWithoutResponse(protocol, port)
      const stream = await opened.promise
      disconnect()
      expect(await outcome).toEqual({ resolved: true, areHeadersSent: false })
      expect(stream.closeReason).toBe('client')
    },
  )

  it.each<Protocol>(['http', 'h2c'])(
    'are those of the handler when it responds later over %s',
    async (protocol) => {
      const end = deferred<unknown>()
      const handler: AnyHandler = async (stream, _request, response) => {
        void closed(stream).then(end.resolve)
        await nextTurn()
        return response.writeHead(429, { 'Retry-After': '7' }).end('slow down')
      }
      const { client, outcome } = await open(handler, { protocol, options })
      expect(await client.ended).toBe('end')
      expect([client.status, client.headers['retry-after'], client.body]).toEqual([429, '7', 'slow down'])
      expect(await outcome).toMatchObject({ resolved: true })
      expect(await end.promise).toEqual({ reason: 'server', error: undefined })
    },
  )

  it('do not keep the connection open when the handler destroys the stream and never ends', async () => {
    const { port } = await serveHandler(
      async (stream) => {
        await nextTurn()
        stream.destroy()
        await new Promise(() => {})
      },
      { options },
    )
    expect(await endOf(get('http', port))).toBe('cut')
  })

  it('are sent with the first heartbeat', async () => {
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const opened = deferred<void>()
    const { port } = await serveHandler(
      () => {
        opened.resolve()
        return new Promise(() => {})
      },
      { options },
    )
    const response = get('http', port)
    await opened.promise
    clock.advance(15_000)
    await (await response).until(':\n')
  })

  it('wait no longer than maxHeaderDelay', async () => {
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const opened = deferred<ServerResponse>()
    const { port } = await serveHandler(
      (_stream, _request, response) => {
        opened.resolve(response)
        return new Promise(() => {})
      },
      { options: { maxHeaderDelay: 5_000 } },
    )
    const client = get('http', port)
    const response = await opened.promise
    clock.advance(4_900)
    await nextTurn()
    await nextTurn()
    expect(response.headersSent).toBe(false)
    clock.advance(300)
    await (await client).until(':\n')
  })
})

describe('a handler that ends its stream before the response headers are sent', () => {
  it.each<[Protocol, string, Error | undefined]>([
    ['http', 'without an error', undefined],
    ['http', 'with an error', new Error('handler failed')],
    ['h2c', 'without an error', undefined],
    ['h2c', 'with an error', new Error('handler failed')],
  ])('cuts the connection over %s when it destroys the stream %s', async (protocol, _how, error) => {
    const end = deferred<unknown>()
    const { port, outcome } = await serveHandler(
      (stream) => {
        void closed(stream).then(end.resolve)
        stream.send({ data: 1 })
        stream.destroy(error)
      },
      { protocol },
    )
    expect(await endOf(get(protocol, port))).toBe('cut')
    expect(await end.promise).toEqual({ reason: error ? 'error' : 'server', error })
    expect(await outcome).toMatchObject({ resolved: true })
  })

  it('may send another response after it has destroyed the stream', async () => {
    const { client, outcome } = await open((stream, _request, response) => {
      stream.destroy()
      response.writeHead(409).end('taken')
    })
    expect(client.status).toBe(409)
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('taken')
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
  })

  it('ends the body properly when it closes the stream', async () => {
    const { client, outcome } = await open((stream) => {
      stream.send({ data: 'last' })
      stream.close({ retry: 60_000 })
    })
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/data: last\n\nretry: 60000\n$/)
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
  })

  it('makes answerRequest() reject when it throws after it has closed the stream', async () => {
    const failure = new Error('cleanup failed')
    const end = deferred<unknown>()
    const { port, outcome } = await serveHandler(async (stream) => {
      void closed(stream).then(end.resolve)
      stream.close()
      await nextTurn()
      throw failure
    })
    await endOf(get('http', port))
    expect(await outcome).toEqual({ rejected: failure, areHeadersSent: true })
    expect(await end.promise).toMatchObject({ reason: 'server' })
  })
})

describe('a handler that sends its own response', () => {
  it.each<[string, AnyHandler]>([
    ['immediately', (_stream, _request, response) => void response.writeHead(401).end('sign in')],
    [
      'within the turn',
      async (_stream, _request, response) => {
        await undefined
        response.writeHead(401).end('sign in')
      },
    ],
    [
      'after it has sent an event',
      (stream, _request, response) => {
        stream.send({ data: 'secret' })
        response.writeHead(401).end('sign in')
      },
    ],
    [
      'in a generator',
      async function* (_stream, _request, response) {
        response.writeHead(401).end('sign in')
        yield { data: 'secret' }
      },
    ],
  ])('closes its stream with the reason server %s', async (_moment, handler) => {
    const end = deferred<unknown>()
    const { client, outcome } = await open((stream, ...rest) => {
      void closed(stream).then(end.resolve)
      return handler(stream, ...rest)
    })
    expect(client.status).toBe(401)
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('sign in')
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
    expect(await end.promise).toEqual({ reason: 'server', error: undefined })
  })

  it('may end its response later', async () => {
    const { client, outcome } = await open(async (stream, _request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain' }).write('one, ')
      await once(stream, 'close')
      response.end('two')
    })
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('one, two')
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
  })

  it('may refuse the stream with a reconnection time', async () => {
    const { client } = await open((_stream, _request, response) =>
      refuseSseStream(response, { retry: 60_000 }),
    )
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/^:\nretry: \d+\n$/)
  })

  it('removes the subscriptions of its stream', async () => {
    const hub = new Hub()
    const { client } = await open((stream, _request, response) => {
      hub.subscribe(stream, ['news'])
      response.writeHead(403).end()
    })
    expect(client.status).toBe(403)
    await expect.poll(() => hub.size).toBe(0)
  })
})

describe('a client that disconnects', () => {
  it.each<Protocol>(['http', 'h2c'])(
    'before the handler is called prevents the call, over %s (rule 29)',
    async (protocol) => {
      const arrived = deferred<void>()
      const { port, outcome } = await serveHandler(() => expect.unreachable(), {
        protocol,
        prepare: async (_request, response) => {
          arrived.resolve()
          await once(response, 'close')
        },
      })
      const { disconnect } = requestWithoutResponse(protocol, port)
      await arrived.promise
      disconnect()
      expect(await outcome).toEqual({ resolved: true, areHeadersSent: false })
    },
  )

  it.each(['its handler', 'authorize'])('closes a pipelined stream that waits for %s', async (waiting) => {
    const streams: SseStream[] = []
    const wait = (stream: SseStream) => {
      streams.push(stream)
      const isPending = (stream.request as IncomingMessage).url === '/pending'
      return isPending ? new Promise<true>(() => {}) : true
    }
    const isAuthorizing = waiting === 'authorize'
    const handler: AnyHandler = isAuthorizing ? () => {} : wait
    const options = isAuthorizing ? { authorize: wait } : { maxHeaderDelay: 60_000, heartbeat: 0 }
    const { port } = await serveHandler(handler, { options })
    const client = rawClient(port, `${requestOf('/')}${requestOf('/pending').repeat(2)}`)
    await client.until(isAuthorizing ? ':\n' : '')
    await expect.poll(() => streams.length).toBe(3)
    expect(streams.map(({ closed }) => closed)).toEqual([false, false, false])
    client.disconnect()
    await expect.poll(() => streams.map(({ closeReason }) => closeReason)).toEqual(Array(3).fill('client'))
  })

  it('by 101 pipelined requests closes their streams, although their handlers have not finished', async () => {
    const streams: SseStream[] = []
    const { port } = await serveHandler(
      (stream) => {
        streams.push(stream)
        return new Promise(() => {})
      },
      { options: { maxHeaderDelay: 60_000, heartbeat: 0 } },
    )
    const client = rawClient(port, requestOf('/').repeat(102))
    await client.ended
    expect(client.body).toBe('')
    await expect.poll(() => streams.every(({ closeReason }) => closeReason === 'client')).toBe(true)
  })

  it('in the turn of the handler closes the stream, and no response headers are sent', async () => {
    const { port, outcome } = await serveHandler(async (stream, request, response) => {
      request.socket.destroy()
      await once(stream, 'close')
      expect([stream.closeReason, response.headersSent]).toEqual(['client', false])
    })
    expect(await endOf(get('http', port))).toBe('cut')
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: false })
  })

  /** Returns the result of a handler that fails after the client has disconnected. */
  async function failAfterDisconnect(fail: (stream: SseStream) => unknown) {
    const opened = deferred<SseStream>()
    const { client, outcome } = await open(async (stream) => {
      opened.resolve(stream)
      await once(stream, 'close')
      throw fail(stream)
    })
    const end = closed(await opened.promise)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    return outcome
  }

  it.each<[string, (stream: SseStream) => unknown]>([
    ['the reason of its signal', ({ signal }) => signal.reason],
    ['another AbortError', () => named('AbortError')],
  ])('causes no rejection when the handler throws %s', async (_error, fail) => {
    expect(await failAfterDisconnect(fail)).toEqual({ resolved: true, areHeadersSent: true })
  })

  it.each([named('Error'), named('TimeoutError'), 'a text', undefined])(
    'causes no rejection when the handler has used the signal and throws %s (rule 41)',
    async (failure) => {
      const outcome = await failAfterDisconnect(({ signal }) => (signal.aborted ? failure : undefined))
      expect(outcome).toEqual({ resolved: true, areHeadersSent: true })
    },
  )

  it('does not hide an SseError when the handler has used the signal', async () => {
    const outcome = await failAfterDisconnect(
      ({ signal }) => new SseError('ERR_SSE_OPTION', `The signal is aborted: ${signal.aborted}.`),
    )
    expect(outcome).toEqual({ rejected: code('ERR_SSE_OPTION'), areHeadersSent: true })
  })

  it.each(['close', 'destroy'] as const)(
    'does not hide an exception after the handler itself has called %s',
    async (method) => {
      const failure = new Error('not saved')
      const { client, outcome } = await open(async (stream) => {
        expect(stream.signal.aborted).toBe(false)
        await nextTurn()
        stream[method]()
        throw failure
      })
      expect(await outcome).toEqual({ rejected: failure, areHeadersSent: true })
      await client.ended
    },
  )

  it.each([named('Error'), named('TimeoutError'), 'a text'])(
    'does not hide an exception if the signal was not used: %s',
    async (failure) => {
      expect(await failAfterDisconnect(() => failure)).toEqual({ rejected: failure, areHeadersSent: true })
    },
  )

  it.each([undefined, null, 0, ''])(
    'causes a rejection with an Error when the handler throws %j',
    async (failure) => {
      expect(await failAfterDisconnect(() => failure)).toEqual({
        rejected: expect.any(Error),
        areHeadersSent: true,
      })
    },
  )

  it('closes the source that the handler returns after it', async () => {
    const opened = deferred<SseStream>()
    const source = trackedSource()
    const { client, outcome } = await open(async (stream) => {
      opened.resolve(stream)
      await once(stream, 'close')
      return source.events
    })
    const stream = await opened.promise
    client.disconnect()
    expect(await outcome).toEqual({ resolved: true, areHeadersSent: true })
    expect(stream.closeReason).toBe('client')
    expect(source.calls()).toEqual(['return'])
  })
})

describe('a handler that fails', () => {
  it.each<[string, (failure: Error) => unknown]>([
    ['with an exception', (failure) => fail(failure)],
    ['with a promise', (failure) => Promise.reject(failure)],
    // biome-ignore lint/suspicious/noThenProperty: a handler may return any value.
    ['with a thenable', (failure) => ({ then: (_: unknown, reject: (e: Error) => void) => reject(failure) })],
    [
      'with a promise whose getter throws',
      (failure) => ({
        // biome-ignore lint/suspicious/noThenProperty: a handler may return any value.
        get then() {
          return fail(failure)
        },
      }),
    ],
    [
      'with a source whose getter throws',
      (failure) => ({
        get [Symbol.asyncIterator]() {
          return fail(failure)
        },
      }),
    ],
    ['with a source that cannot be opened', (failure) => ({ [Symbol.iterator]: () => fail(failure) })],
  ])(
    '%s closes its stream and makes answerRequest() reject before the response headers are sent',
    async (_how, handler) => {
      const failure = new Error('handler failed')
      const end = deferred<unknown>()
      const { client, outcome } = await open((stream) => {
        void closed(stream).then(end.resolve)
        return handler(failure)
      })
      expect(client.status).toBe(500)
      expect(await client.ended).toBe('end')
      expect(await outcome).toEqual({ rejected: failure, areHeadersSent: false })
      expect(await end.promise).toEqual({ reason: 'error', error: failure })
    },
  )

  it('with an AbortError makes answerRequest() reject while its client is connected', async () => {
    const failure = named('AbortError')
    const end = deferred<unknown>()
    const { client, outcome } = await open(async (stream) => {
      void closed(stream).then(end.resolve)
      await nextTurn()
      throw failure
    })
    expect(await client.ended).toBe('cut')
    expect(await outcome).toEqual({ rejected: failure, areHeadersSent: true })
    expect(await end.promise).toEqual({ reason: 'error', error: failure })
  })

  it('after it has sent an event in the same turn sends nothing', async () => {
    const failure = new Error('handler failed')
    const { client, outcome } = await open((stream) => {
      stream.send({ data: 'secret' })
      throw failure
    })
    expect(client.status).toBe(500)
    await client.ended
    expect(client.body).toBe('sorry')
    expect(await outcome).toEqual({ rejected: failure, areHeadersSent: false })
  })

  it('with an event that cannot be encoded makes answerRequest() reject', async () => {
    const { client, outcome } = await open(() => [{ event: 'a\nb', data: 1 }])
    expect(client.status).toBe(500)
    expect(await outcome).toEqual({ rejected: code('ERR_SSE_EVENT_NAME'), areHeadersSent: false })
  })
})

describe('the value that a handler returns', () => {
  it.each([undefined, null, true, () => {}, { headersSent: false }, { sent: true }])(
    'keeps the stream open when it is %s',
    async (returned) => {
      const opened = deferred<SseStream>()
      const { client, outcome } = await open((stream) => {
        opened.resolve(stream)
        return returned
      })
      expect(await outcome).toMatchObject({ resolved: true })
      const stream = await opened.promise
      stream.send({ data: 'later' })
      await client.until('data: later\n\n')
      expect(dataOf(client)).toEqual(['later'])
    },
  )

  it.each([7, 'text', { data: 1 }, Buffer.from('bytes'), new Response()])(
    'makes answerRequest() reject with ERR_SSE_HANDLER when it is %s',
    async (returned) => {
      const { client, outcome } = await open(() => returned)
      expect(client.status).toBe(500)
      expect(await outcome).toEqual({ rejected: code('ERR_SSE_HANDLER'), areHeadersSent: false })
    },
  )

  // `clients.add(stream)` and `clients.set(id, stream)` return the collection.
  it.each<[string, (stream: SseStream) => unknown]>([
    ['a Set with the stream', (stream) => new Set(['before']).add(stream as never)],
    ['a Map', (stream) => new Map([['before', stream]]).set('id', stream)],
    ['a WeakSet', (stream) => new WeakSet().add(stream)],
    ['a WeakMap', (stream) => new WeakMap().set(stream, 'id')],
  ])('keeps the stream open when it is %s', async (_type, add) => {
    for (const isAsync of [false, true]) {
      const opened = deferred<SseStream>()
      const { client, outcome } = await open((stream) => {
        opened.resolve(stream)
        return isAsync ? Promise.resolve(add(stream)) : add(stream)
      })
      expect(await outcome).toMatchObject({ resolved: true })
      const stream = await opened.promise
      stream.send({ data: 'later' })
      await client.until('data: later\n\n')
      expect(dataOf(client)).toEqual(['later'])
    }
  })

  it.each<[string, () => unknown]>([
    ['an iterable', () => ['a', 'b']],
    ['a Set of events', () => new Set(['a', { data: 'b' }])],
    ['a promise of an iterable', async () => ['a', 'b']],
    ['a web stream', () => ReadableStream.from(['a', 'b'])],
    [
      'a generator',
      async function* () {
        yield* ['a', 'b']
      },
    ],
  ])('is sent, after which the stream closes, when it is %s', async (_type, handler) => {
    const { client, outcome } = await open(handler)
    expect(await client.ended).toBe('end')
    expect(dataOf(client)).toEqual(['a', 'b'])
    expect(await outcome).toMatchObject({ resolved: true })
  })
})

describe('a replay beside a handler', () => {
  const resumed = { headers: { 'last-event-id': '7' } }

  it('is sent before the events that the handler sends', async () => {
    const options: SseStreamOptions = {
      async *replay(lastEventId) {
        yield { data: `after ${lastEventId}` }
        await nextTurn()
        yield { data: 'second' }
      },
    }
    const { client } = await open((stream) => stream.send({ data: 'live' }), { options }, resumed)
    await client.until('data: live\n\n')
    expect(dataOf(client)).toEqual(['after 7', 'second', 'live'])
  })

  it('is sent before the events that the handler returns, after which the stream ends', async () => {
    const options: SseStreamOptions = { replay: () => [{ data: 'missed' }] }
    const { client } = await open(() => ['live'], { options }, resumed)
    expect(await client.ended).toBe('end')
    expect(dataOf(client)).toEqual(['missed', 'live'])
  })

  it('is closed and sends nothing when the handler fails', async () => {
    const failure = new Error('handler failed')
    const source = trackedSource()
    const { client, outcome } = await open(
      () => Promise.reject(failure),
      { options: { replay: () => source.events } },
      resumed,
    )
    expect(client.status).toBe(500)
    await client.ended
    expect(client.body).toBe('sorry')
    expect(await outcome).toEqual({ rejected: failure, areHeadersSent: false })
    await expect.poll(source.calls).toContain('return')
  })

  it('ends the stream when it fails, and answerRequest() does not reject', async () => {
    const failure = new Error('replay failed')
    const end = deferred<unknown>()
    const { client, outcome } = await open(
      (stream) => void closed(stream).then(end.resolve),
      { options: { replay: () => fail(failure) } },
      resumed,
    )
    expect(client.status).toBe(200)
    expect(await client.ended).toBe('end')
    expect(await outcome).toMatchObject({ resolved: true })
    expect(await end.promise).toEqual({ reason: 'replay', error: failure })
  })
})

/** Sends a request without waiting for the response headers. */
function requestWithoutResponse(
  protocol: Protocol,
  port: number,
): { disconnect: () => void; isCut: Promise<boolean> } {
  if (protocol === 'http') {
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    return { disconnect: () => client.disconnect(), isCut: client.ended.then(() => client.body === '') }
  }
  const session = http2.connect(`http://127.0.0.1:${port}`)
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':path': '/' }).on('error', () => {})
  const isCut = once(stream, 'close').then(() => stream.rstCode === http2.constants.NGHTTP2_CANCEL)
  return { disconnect: () => session.destroy(), isCut }
}

/** Returns endless events, and the calls to their iterator. */
function trackedSource() {
  const calls: string[] = []
  const events = {
    [Symbol.asyncIterator]: () => ({
      async next(): Promise<IteratorResult<SseEvent>> {
        calls.push('next')
        await nextTurn()
        return { value: { data: 'more' }, done: false }
      },
      async return(): Promise<IteratorResult<SseEvent>> {
        calls.push('return')
        return { value: undefined, done: true }
      },
    }),
  }
  return { events, calls: () => calls }
}

function fail(failure: unknown): never {
  throw failure
}
