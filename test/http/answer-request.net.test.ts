import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { answerRequest } from '../../src/http/answer-request.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, type Get, get, rawClient } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

type AnyHandler = (stream: SseStream, request: IncomingMessage, response: ServerResponse) => unknown

interface Served {
  readonly options?: SseStreamOptions
  readonly protocol?: Protocol
  /** What comes before. */
  readonly prepare?: (...of: Parameters<Handler>) => unknown
  readonly onHeadersError?: (error: unknown, response: ServerResponse) => void
}

/** What `answerRequest` came to, and whether the head had left by then. */
interface Outcome {
  readonly resolved?: boolean
  readonly rejected?: unknown
  readonly isHeadSent: boolean
}

/** A server that answers with a handler, as the adapter of a framework does. */
async function serveHandler(
  handler: AnyHandler,
  { options, protocol, prepare, onHeadersError }: Served = {},
) {
  const outcome = deferred<Outcome>()
  const served = await serve(async (request, response) => {
    await prepare?.(request, response)
    const hooks = onHeadersError && { onHeadersError: (error: unknown) => onHeadersError(error, response) }
    const settings = resolveOptions(options)
    const args = [request, response] as const
    try {
      const resolved = await answerRequest(request, response, settings, handler as never, args, hooks)
      outcome.resolve({ resolved, isHeadSent: response.headersSent })
      if (!resolved) response.end('something else')
    } catch (rejected) {
      outcome.resolve({ rejected, isHeadSent: response.headersSent })
      if (!response.headersSent) response.writeHead(500).end('sorry')
    }
  }, protocol)
  return { ...served, outcome: outcome.promise }
}

async function open(handler: AnyHandler, served: Served = {}, ask: Get = {}) {
  const { port, outcome } = await serveHandler(handler, served)
  return { outcome, port, client: await get(served.protocol ?? 'http', port, ask) }
}

/** How a body ended; a connection that is lost before its head is cut too. */
async function endOf(client: Promise<Client>): Promise<'end' | 'cut'> {
  return client.then(
    ({ ended }) => ended,
    () => 'cut',
  )
}

const dataOf = ({ body }: Client) => parseEvents(body).map(({ data }) => data)

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

/** The name of an error decides what it is. */
const named = (name: string) => Object.assign(new Error(`a failure named ${name}`), { name })

describe('the head', () => {
  it('leaves at the end of the turn in which the handler was called', async () => {
    const seen: boolean[] = []
    const { client, outcome } = await open(async (_stream, _request, response) => {
      seen.push(response.headersSent)
      for (let i = 0; i < 100; i++) await undefined
      seen.push(response.headersSent)
      await nextTurn()
      seen.push(response.headersSent)
    })
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
    expect(seen).toEqual([false, false, true])
    await client.until((body) => /^:\nretry: \d+\n$/.test(body))
  })

  // A framework may set headers after its handlers, as Koa does.
  it('is not waited for: who awaits a handler goes on before it leaves', async () => {
    const { client, outcome } = await open((stream) => stream.send({ data: 1 }))
    expect(await outcome).toEqual({ resolved: true, isHeadSent: false })
    await client.until('data: 1\n\n')
  })

  it('leaves within the turn with more than may wait, and a failure after that cuts the body', async () => {
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
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: true })
    expect(client.status).toBe(200)
    expect(await client.ended).toBe('cut')
  })

  it('is the whole answer to HEAD, for which nobody is called', async () => {
    const { client, outcome } = await open(() => expect.unreachable(), {}, { method: 'HEAD' })
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
    expect(client.headers['content-type']).toContain('text/event-stream')
    expect(await client.ended).toBe('end')
  })

  it('is left to others when the client accepts no stream, and nobody is called', async () => {
    const accept = { headers: { accept: 'application/json' } }
    const { client, outcome } = await open(() => expect.unreachable(), {}, accept)
    expect(await outcome).toEqual({ resolved: false, isHeadSent: false })
    await client.until('something else')
    expect(client.headers).not.toHaveProperty('content-type')
    expect(client.headers.vary).toBe('Accept')
  })
})

describe('a head that a middleware does not let pass', () => {
  const failure = new Error('A middleware’s own writeHead failed.')

  const prepare: Handler = (_request, response) => {
    const { writeHead } = response
    response.writeHead = () => {
      // Once, as what `on-headers` calls.
      response.writeHead = writeHead
      throw failure
    }
  }

  it.each<[string, AnyHandler]>([
    ['says nothing', () => {}],
    ['sends something', (stream) => stream.send({ data: 1 })],
    ['sends more than may wait', (stream) => ['a', 'b', 'c'].forEach((data) => void stream.send({ data }))],
    ['closes the stream', (stream) => stream.close()],
    ['goes on', () => nextTurn()],
  ])('is told once, to be answered, when the handler %s', async (_what, handler) => {
    const errors: unknown[] = []
    const reasons: unknown[] = []
    const { client, outcome } = await open(
      (stream, ...rest) => {
        stream.once('close', (reason) => reasons.push(reason))
        const returned = handler(stream, ...rest)
        // Nobody is told from within a `send`.
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

  it('is what the stream ends with', async () => {
    const end = deferred<unknown>()
    await open((stream) => closed(stream).then(end.resolve), {
      prepare,
      onHeadersError: (_error, response) => response.end(),
    })
    expect(await end.promise).toEqual({ reason: 'error', error: failure })
  })

  it.each<Protocol>(['http', 'h2c'])(
    'cuts the connection where nobody is told, over %s',
    async (protocol) => {
      const { port } = await serveHandler(() => {}, { prepare, protocol })
      expect(await askOnly(protocol, port).isCut).toBe(true)
    },
  )

  it('holds back no other stream of the same turn', async () => {
    const both = deferred<void>()
    const waiting: Array<() => void> = []
    const { port } = await serve((request, response) => {
      waiting.push(() => {
        if (request.url === '/broken') prepare(request, response)
        const handler = (stream: SseStream) => stream.send({ data: 'whole' })
        void answerRequest(request, response, resolveOptions({}), handler, [])
      })
      if (waiting.length === 2) both.resolve()
    })
    const broken = endOf(get('http', port, { path: '/broken' }))
    await expect.poll(() => waiting.length).toBe(1)
    const whole = get('http', port)
    await both.promise
    for (const answer of waiting) answer()
    await (await whole).until('data: whole\n\n')
    expect(await broken).toBe('cut')
  })
})

describe('a handler that ends its stream before the head has left', () => {
  it.each<[Protocol, string, Error | undefined]>([
    ['http', 'without an error', undefined],
    ['http', 'with an error', new Error('of the handler')],
    ['h2c', 'without an error', undefined],
    ['h2c', 'with an error', new Error('of the handler')],
  ])('ends the connection too: %s, destroyed %s', async (protocol, _how, error) => {
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

  it('may answer otherwise after it has destroyed it', async () => {
    const { client, outcome } = await open((stream, _request, response) => {
      stream.destroy()
      response.writeHead(409).end('taken')
    })
    expect(client.status).toBe(409)
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('taken')
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
  })

  it('ends the body as it should by closing it', async () => {
    const { client, outcome } = await open((stream) => {
      stream.send({ data: 'last' })
      stream.close({ retry: 60_000 })
    })
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/data: last\n\nretry: 60000\n$/)
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
  })

  it('is told of when it fails after it has closed it', async () => {
    const failure = new Error('of cleaning up')
    const end = deferred<unknown>()
    const { port, outcome } = await serveHandler(async (stream) => {
      void closed(stream).then(end.resolve)
      stream.close()
      await nextTurn()
      throw failure
    })
    await endOf(get('http', port))
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: true })
    expect(await end.promise).toMatchObject({ reason: 'server' })
  })
})

describe('a handler that answers by itself', () => {
  it.each<[string, AnyHandler]>([
    ['at once', (_stream, _request, response) => void response.writeHead(401).end('who?')],
    [
      'within the turn',
      async (_stream, _request, response) => {
        await undefined
        response.writeHead(401).end('who?')
      },
    ],
    [
      'after it has sent something',
      (stream, _request, response) => {
        stream.send({ data: 'secret' })
        response.writeHead(401).end('who?')
      },
    ],
    [
      'in a generator',
      async function* (_stream, _request, response) {
        response.writeHead(401).end('who?')
        yield { data: 'secret' }
      },
    ],
  ])('is left alone %s, and its client has not left', async (_when, handler) => {
    const end = deferred<unknown>()
    const { client, outcome } = await open((stream, ...rest) => {
      void closed(stream).then(end.resolve)
      return handler(stream, ...rest)
    })
    expect(client.status).toBe(401)
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('who?')
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
    expect(await end.promise).toEqual({ reason: 'server', error: undefined })
  })

  it('may take its time with it', async () => {
    const { client, outcome } = await open(async (stream, _request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/plain' }).write('one, ')
      await once(stream, 'close')
      response.end('two')
    })
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('one, two')
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
  })

  it('may say when to come back', async () => {
    const { client } = await open((_stream, _request, response) =>
      refuseSseStream(response, { retry: 60_000 }),
    )
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/^:\nretry: \d+\n$/)
  })

  it('lets go of what it has subscribed', async () => {
    const hub = new Hub()
    const { client } = await open((stream, _request, response) => {
      hub.subscribe(stream, ['news'])
      response.writeHead(403).end()
    })
    expect(client.status).toBe(403)
    await expect.poll(() => hub.size).toBe(0)
  })
})

describe('a client that leaves', () => {
  it.each<Protocol>(['http', 'h2c'])(
    'before the handler is called has nobody called, over %s (rule 29)',
    async (protocol) => {
      const arrived = deferred<void>()
      const { port, outcome } = await serveHandler(() => expect.unreachable(), {
        protocol,
        prepare: async (_request, response) => {
          arrived.resolve()
          await once(response, 'close')
        },
      })
      const { leave } = askOnly(protocol, port)
      await arrived.promise
      leave()
      expect(await outcome).toEqual({ resolved: true, isHeadSent: false })
    },
  )

  it('in the turn of the handler has left, and is not sent the head', async () => {
    const { port, outcome } = await serveHandler(async (stream, request, response) => {
      request.socket.destroy()
      await once(stream, 'close')
      expect([stream.closeReason, response.headersSent]).toEqual(['client', false])
    })
    expect(await endOf(get('http', port))).toBe('cut')
    expect(await outcome).toEqual({ resolved: true, isHeadSent: false })
  })

  /** Leaves, and answers with what the handler came to when it failed after that. */
  async function failAfterLeaving(fail: (stream: SseStream) => unknown) {
    const made = deferred<SseStream>()
    const { client, outcome } = await open(async (stream) => {
      made.resolve(stream)
      await once(stream, 'close')
      throw fail(stream)
    })
    const end = closed(await made.promise)
    client.leave()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    return outcome
  }

  it.each<[string, (stream: SseStream) => unknown]>([
    ['what its signal says', ({ signal }) => signal.reason],
    ['an error of that name', () => named('AbortError')],
  ])('is no failure of a handler that is aborted with %s', async (_what, fail) => {
    expect(await failAfterLeaving(fail)).toEqual({ resolved: true, isHeadSent: true })
  })

  it.each([named('Error'), named('TimeoutError'), 'a text'])(
    'hides no failure that is no abort: %s',
    async (failure) => {
      expect(await failAfterLeaving(() => failure)).toEqual({ rejected: failure, isHeadSent: true })
    },
  )

  it.each([undefined, null, 0, ''])('makes an error of a failure with %j', async (failure) => {
    expect(await failAfterLeaving(() => failure)).toEqual({ rejected: expect.any(Error), isHeadSent: true })
  })

  it('has the source closed that a handler returns too late', async () => {
    const made = deferred<SseStream>()
    const source = tracked()
    const { client, outcome } = await open(async (stream) => {
      made.resolve(stream)
      await once(stream, 'close')
      return source.events
    })
    const stream = await made.promise
    client.leave()
    expect(await outcome).toEqual({ resolved: true, isHeadSent: true })
    expect(stream.closeReason).toBe('client')
    expect(source.seen()).toEqual(['return'])
  })
})

describe('a handler that fails', () => {
  it.each<[string, (failure: Error) => unknown]>([
    ['at once', (failure) => fail(failure)],
    ['with a promise', (failure) => Promise.reject(failure)],
    // biome-ignore lint/suspicious/noThenProperty: what it returns may be anything.
    ['with a thenable', (failure) => ({ then: (_: unknown, reject: (e: Error) => void) => reject(failure) })],
    [
      'with a promise whose getter throws',
      (failure) => ({
        // biome-ignore lint/suspicious/noThenProperty: what it returns may be anything.
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
  ])('%s leaves the answer to the framework, and no stream behind', async (_how, handler) => {
    const failure = new Error('of the handler')
    const end = deferred<unknown>()
    const { client, outcome } = await open((stream) => {
      void closed(stream).then(end.resolve)
      return handler(failure)
    })
    expect(client.status).toBe(500)
    expect(await client.ended).toBe('end')
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: false })
    expect(await end.promise).toEqual({ reason: 'error', error: failure })
  })

  it('is told of an abort while its client is there: it was another’s', async () => {
    const failure = named('AbortError')
    const end = deferred<unknown>()
    const { client, outcome } = await open(async (stream) => {
      void closed(stream).then(end.resolve)
      await nextTurn()
      throw failure
    })
    expect(await client.ended).toBe('cut')
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: true })
    expect(await end.promise).toEqual({ reason: 'error', error: failure })
  })

  it('after it has sent something in the same turn has sent nothing', async () => {
    const failure = new Error('of the handler')
    const { client, outcome } = await open((stream) => {
      stream.send({ data: 'secret' })
      throw failure
    })
    expect(client.status).toBe(500)
    await client.ended
    expect(client.body).toBe('sorry')
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: false })
  })

  it('at what cannot be sent is told of it', async () => {
    const { client, outcome } = await open(() => [{ event: 'a\nb', data: 1 }])
    expect(client.status).toBe(500)
    expect(await outcome).toEqual({ rejected: code('ERR_SSE_EVENT_NAME'), isHeadSent: false })
  })
})

describe('what a handler returns', () => {
  it.each([undefined, null, true, () => {}, { headersSent: false }, { sent: true }])(
    'leaves the stream open when it is no source: %s',
    async (returned) => {
      const made = deferred<SseStream>()
      const { client, outcome } = await open((stream) => {
        made.resolve(stream)
        return returned
      })
      expect(await outcome).toMatchObject({ resolved: true })
      const stream = await made.promise
      stream.send({ data: 'later' })
      await client.until('data: later\n\n')
      expect(dataOf(client)).toEqual(['later'])
    },
  )

  it.each([7, 'text', { data: 1 }, Buffer.from('bytes'), new Response()])(
    'is an error when it is neither a source nor nothing: %s',
    async (returned) => {
      const { client, outcome } = await open(() => returned)
      expect(client.status).toBe(500)
      expect(await outcome).toEqual({ rejected: code('ERR_SSE_HANDLER'), isHeadSent: false })
    },
  )

  it.each<[string, () => unknown]>([
    ['an iterable', () => ['a', 'b']],
    ['a promise of one', async () => ['a', 'b']],
    ['a web stream', () => ReadableStream.from(['a', 'b'])],
    [
      'a generator',
      async function* () {
        yield* ['a', 'b']
      },
    ],
  ])('is sent and then closes the stream when it is %s', async (_what, handler) => {
    const { client, outcome } = await open(handler)
    expect(await client.ended).toBe('end')
    expect(dataOf(client)).toEqual(['a', 'b'])
    expect(await outcome).toMatchObject({ resolved: true })
  })
})

describe('a replay beside a handler', () => {
  const back = { headers: { 'last-event-id': '7' } }

  it('comes before what the handler sends', async () => {
    const options: SseStreamOptions = {
      async *replay(lastEventId) {
        yield { data: `after ${lastEventId}` }
        await nextTurn()
        yield { data: 'and on' }
      },
    }
    const { client } = await open((stream) => stream.send({ data: 'live' }), { options }, back)
    await client.until('data: live\n\n')
    expect(dataOf(client)).toEqual(['after 7', 'and on', 'live'])
  })

  it('comes before the events that the handler returns, and the stream ends after these', async () => {
    const options: SseStreamOptions = { replay: () => [{ data: 'missed' }] }
    const { client } = await open(() => ['live'], { options }, back)
    expect(await client.ended).toBe('end')
    expect(dataOf(client)).toEqual(['missed', 'live'])
  })

  it('has sent nothing when the handler fails, and is closed', async () => {
    const failure = new Error('of the handler')
    const source = tracked()
    const { client, outcome } = await open(
      () => Promise.reject(failure),
      { options: { replay: () => source.events } },
      back,
    )
    expect(client.status).toBe(500)
    await client.ended
    expect(client.body).toBe('sorry')
    expect(await outcome).toEqual({ rejected: failure, isHeadSent: false })
    await expect.poll(source.seen).toContain('return')
  })

  it('ends the stream when it fails, which is no failure of the handler', async () => {
    const failure = new Error('of the replay')
    const end = deferred<unknown>()
    const { client, outcome } = await open(
      (stream) => void closed(stream).then(end.resolve),
      { options: { replay: () => fail(failure) } },
      back,
    )
    expect(client.status).toBe(200)
    expect(await client.ended).toBe('end')
    expect(await outcome).toMatchObject({ resolved: true })
    expect(await end.promise).toEqual({ reason: 'replay', error: failure })
  })
})

/** Asks, for who wants to leave, or to be cut off, before there is a head. */
function askOnly(protocol: Protocol, port: number): { leave: () => void; isCut: Promise<boolean> } {
  if (protocol === 'http') {
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    return { leave: () => client.leave(), isCut: client.ended.then(() => client.body === '') }
  }
  const session = http2.connect(`http://127.0.0.1:${port}`)
  onTestFinished(() => session.destroy())
  const stream = session.request({ ':path': '/' }).on('error', () => {})
  const isCut = once(stream, 'close').then(() => stream.rstCode === http2.constants.NGHTTP2_CANCEL)
  return { leave: () => session.destroy(), isCut }
}

/** Events without end that note when they are read and when they are closed. */
function tracked() {
  const seen: string[] = []
  const events = {
    [Symbol.asyncIterator]: () => ({
      async next(): Promise<IteratorResult<SseEvent>> {
        seen.push('next')
        await nextTurn()
        return { value: { data: 'more' }, done: false }
      },
      async return(): Promise<IteratorResult<SseEvent>> {
        seen.push('return')
        return { value: undefined, done: true }
      },
    }),
  }
  return { events, seen: () => seen }
}

function fail(failure: unknown): never {
  throw failure
}
