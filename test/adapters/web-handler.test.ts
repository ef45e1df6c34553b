import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { sse, type WebOptions } from '../../src/adapters/web.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/serve.ts'
import { closed, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'
const failure = new Error('secret of the handler')

const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => {
  logged.mockClear()
})

/** Calls a web handler that fails when the test says so. */
async function failing(options?: WebOptions) {
  const fails = deferred<never>()
  const opened = deferred<SseStream>()
  const respond = sse((stream) => {
    opened.resolve(stream as SseStream)
    return fails.promise
  }, options)
  const response = await respond(new Request(PATH))
  return { response, fail: fails.reject, closing: closed(await opened.promise) }
}

describe('an error of a web handler', () => {
  it.each<[string, (stream: SseStream) => unknown]>([
    ['is thrown', () => fail()],
    ['rejects its promise', async () => fail()],
    [
      'occurs in the same turn',
      async () => {
        for (let tick = 0; tick < 20; tick++) await null
        fail()
      },
    ],
    [
      'occurs after an event was sent in the same turn',
      (stream) => {
        stream.send({ data: 'lost' })
        fail()
      },
    ],
  ])('rejects the response and is not passed to onError when it %s', async (_when, handler) => {
    const onError = vi.fn()
    const request = new Request(PATH)
    await expect(sse(handler as never, { onError })(request)).rejects.toBe(failure)
    await settled()
    expect(onError).not.toHaveBeenCalled()
    expect(getEventListeners(request.signal, 'abort')).toEqual([])
  })

  it('is passed to onError once and closes the stream in a later turn', async () => {
    const onError = vi.fn()
    const { response, fail, closing } = await failing({ onError })
    fail(failure)
    expect(await closing).toEqual({ reason: 'error', error: failure })
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' })
    expect(onError).toHaveBeenCalledExactlyOnceWith(failure)
    expect(logged).not.toHaveBeenCalled()
  })

  it.each([undefined, {}, { onError: undefined }])(
    'is logged in a later turn with the options %o',
    async (options) => {
      const { fail, closing } = await failing(options)
      fail(failure)
      await closing
      await settled()
      expect(logged).toHaveBeenCalledExactlyOnceWith(failure)
    },
  )

  it.each<[string, () => unknown]>([
    ['rejects', () => Promise.reject(new Error('no reporter'))],
    [
      'throws',
      () => {
        throw new Error('no reporter')
      },
    ],
  ])('is logged in a later turn when onError %s', async (_how, onError) => {
    const { fail, closing } = await failing({ onError })
    fail(failure)
    await closing
    await settled()
    expect(logged).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'no reporter' }))
  })

  it('is not reported when a disconnect caused it', async () => {
    const onError = vi.fn()
    const controller = new AbortController()
    const respond = sse(
      (stream) =>
        new Promise((_resolve, reject) => {
          stream.signal.addEventListener('abort', () => reject(stream.signal.reason))
        }),
      { onError },
    )
    await respond(new Request(PATH, { signal: controller.signal }))
    controller.abort()
    await settled()
    expect(onError).not.toHaveBeenCalled()
  })
})

describe('a Response that a web handler returns', () => {
  const own = () => Response.json({ error: 'later' }, { status: 429 })

  it.each<[string, (stream: SseStream) => unknown]>([
    ['immediately', own],
    ['in the same turn', async () => own()],
    [
      'after an event was sent in the same turn',
      (stream) => {
        stream.send({ data: 'lost' })
        return own()
      },
    ],
  ])('is the answer, and closes the stream: %s', async (_when, handler) => {
    const end = deferred<unknown>()
    const respond = sse((stream) => {
      void closed(stream as SseStream).then(end.resolve)
      return handler(stream as SseStream) as Response
    })
    const response = await respond(new Request(PATH))
    expect([response.status, await response.json()]).toEqual([429, { error: 'later' }])
    expect(await end.promise).toEqual({ reason: 'server', error: undefined })
  })

  it('is an error after the response headers were sent', async () => {
    const onError = vi.fn()
    const respond = sse(
      async () => {
        await settled()
        return own()
      },
      { onError },
    )
    expect((await respond(new Request(PATH))).status).toBe(200)
    await expect.poll(() => onError.mock.calls).toHaveLength(1)
    expect(onError.mock.calls[0]?.[0]).toMatchObject({
      code: 'ERR_SSE_HANDLER',
      message: expect.stringContaining('maxHeaderDelay'),
    })
  })

  it('is an error if it is an event stream', async () => {
    const upstream = new Response('data: 1\n\n', { headers: { 'Content-Type': 'text/event-stream' } })
    await expect(sse(() => upstream)(new Request(PATH))).rejects.toMatchObject({
      code: 'ERR_SSE_HANDLER',
      message: expect.stringContaining('parseEvents(response)'),
    })
  })
})

describe('sse of spillway/web', () => {
  it('resolves when the handler has finished, or at the end of the turn', async () => {
    await settled() // the turn of an earlier test is over
    let isTurnOver = false
    setImmediate(() => {
      isTurnOver = true
    })
    await sse(() => {})(new Request(PATH))
    expect(isTurnOver).toBe(false)
    await sse(() => new Promise(() => {}))(new Request(PATH))
    expect(isTurnOver).toBe(true)
  })

  it('resolves after a decision about the status that begins while another is awaited', async () => {
    const decisions = [deferred<void>(), deferred<void>()] as const
    const opened = deferred<SseStream>()
    const respond = sse((stream) => {
      stream._connection.output.decideBy(decisions[0].promise)
      opened.resolve(stream as SseStream)
    })
    const response = respond(new Request(PATH))
    const stream = await opened.promise
    const { output } = stream._connection
    await settled()
    output.decideBy(decisions[1].promise)
    decisions[0].resolve()
    await settled()
    output.refuse({ status: 404 })
    stream.destroy()
    decisions[1].resolve()
    expect((await response).status).toBe(404)
  })

  it('passes the stream and all arguments of the server to the handler', async () => {
    const handler = vi.fn()
    const respond = sse((stream, request: Request, env: { key: string }, context: number) => {
      handler(stream.closed, request, env, context)
    })
    const request = new Request(PATH)
    await respond(request, { key: 'k' }, 7)
    expect(handler).toHaveBeenCalledExactlyOnceWith(false, request, { key: 'k' }, 7)
    expectTypeOf(respond).toEqualTypeOf<
      (request: Request, env: { key: string }, context: number) => Promise<Response>
    >()
  })

  it('creates a stream per request', async () => {
    const streams = new Set<unknown>()
    const respond = sse((stream) => {
      streams.add(stream)
      return [{ data: streams.size }]
    })
    const bodies = await Promise.all([1, 2, 3].map(async () => (await respond(new Request(PATH))).text()))
    expect(bodies.map((body) => /data: (\d)\n\n$/.exec(body)?.[1])).toEqual(['1', '2', '3'])
  })

  it('lets a handler subscribe its stream to a hub', async () => {
    const news = new Hub().channel('news')
    const response = await sse((stream) => news.subscribe(stream))(new Request(PATH))
    const reader = response.body?.getReader()
    await reader?.read()
    await news.publish({ data: 'hello' })
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toMatch(/^id: .*\ndata: hello\n\n$/)
    await reader?.cancel()
  })

  it('has the events as its first type argument', () => {
    interface Prices {
      price: number
    }
    const respond = sse<Prices>((stream) => {
      stream.send({ event: 'price', data: 7 })
      // @ts-expect-error: a price is a number.
      stream.send({ event: 'price', data: '7' })
    })
    expectTypeOf(respond).toBeCallableWith({} as Request)
    const withArguments = sse<Prices, [env: { KEY: string }]>((stream, _request, { KEY }) => {
      expectTypeOf(stream).toEqualTypeOf<SseStream<Prices, Request>>()
      expectTypeOf(KEY).toEqualTypeOf<string>()
    })
    expectTypeOf(withArguments).parameters.toEqualTypeOf<[request: Request, env: { KEY: string }]>()
    // Both are inferred from annotations.
    const inferred = sse((_stream: SseStream<Prices>, _request: Request, _env: { KEY: string }) => {})
    expectTypeOf(inferred).toEqualTypeOf(withArguments)
    // @ts-expect-error: the handler returns an event that the stream does not have.
    sse<Prices>(() => [{ event: 'halt', data: 7 }])
  })

  it('does not call the handler for HEAD and for a 406', async () => {
    const handler = vi.fn()
    const respond = sse(handler)
    expect((await respond(new Request(PATH, { method: 'HEAD' }))).body).toBeNull()
    expect((await respond(new Request(PATH, { headers: { accept: 'text/event-stream;q=0' } }))).status).toBe(
      406,
    )
    expect(handler).not.toHaveBeenCalled()
  })
})

describe('sse of spillway/web with bad input', () => {
  it.each([
    [null],
    ['text'],
    [[]],
    [new Map()],
    [{ heartbeats: 1 }],
    [{ onError: 'log' }],
    [{ onError: null }],
    [{ maxHeaderDelay: -1 }],
  ])('rejects the options %o when it is called', (options) => {
    expect(() => sse(() => {}, options as never)).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
  })

  it('names onError in the error', () => {
    expect(() => sse(() => {}, { onError: 'log' as never })).toThrow('Option onError must be a function, not')
  })

  it('returns a handler that rejects anything but a web Request', async () => {
    const respond = sse(() => {})
    for (const request of [undefined, { url: '/', headers: {} }]) {
      await expect(respond(request as never)).rejects.toMatchObject({ code: 'ERR_SSE_REQUEST' })
    }
  })
})

function fail(): never {
  throw failure
}

describe('a web handler whose client is refused', () => {
  it.each(['', '?format=json'])('responds to HEAD without a body, on /stream%s', async (query) => {
    const request = new Request(`${PATH}${query}`, { method: 'HEAD' })
    const formats = ['event-stream', 'json'] as const
    const response = await sse(() => [], { formats, authorize: () => ({ retry: 5_000 }) })(request)
    expect([response.status, response.body]).toEqual([200, null])
  })

  it('may still return a response, which is not reported as an error', async () => {
    const onError = vi.fn()
    const respond = sse(
      async (stream) => {
        stream.expiresAt = Date.now() - 1
        await settled()
        return new Response('late')
      },
      { maxHeaderDelay: 1_000, onError },
    )
    expect((await respond(new Request(PATH))).status).toBe(401)
    await settled()
    await settled()
    expect(onError).not.toHaveBeenCalled()
  })
})
