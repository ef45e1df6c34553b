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

/** Answers with a handler that fails when it is told to. */
async function failing(options?: WebOptions) {
  const fails = deferred<never>()
  const opened = deferred<SseStream>()
  const answer = sse((stream) => {
    opened.resolve(stream as SseStream)
    return fails.promise
  }, options)
  const response = await answer(new Request(PATH))
  return { response, fail: fails.reject, over: closed(await opened.promise) }
}

describe('what a web handler fails with', () => {
  it.each<[string, (stream: SseStream) => unknown]>([
    ['at once', () => fail()],
    ['as a promise', async () => fail()],
    [
      'within the turn',
      async () => {
        for (let tick = 0; tick < 20; tick++) await null
        fail()
      },
    ],
    [
      'after it has sent something within the turn',
      (stream) => {
        stream.send({ data: 'lost' })
        fail()
      },
    ],
  ])('%s rejects, and is told to nobody else', async (_when, handler) => {
    const onError = vi.fn()
    const request = new Request(PATH)
    await expect(sse(handler as never, { onError })(request)).rejects.toBe(failure)
    await settled()
    expect(onError).not.toHaveBeenCalled()
    expect(getEventListeners(request.signal, 'abort')).toEqual([])
  })

  it('later is told to onError, once, and ends the stream', async () => {
    const onError = vi.fn()
    const { response, fail, over } = await failing({ onError })
    fail(failure)
    expect(await over).toEqual({ reason: 'error', error: failure })
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' })
    expect(onError).toHaveBeenCalledExactlyOnceWith(failure)
    expect(logged).not.toHaveBeenCalled()
  })

  it.each([undefined, {}, { onError: undefined }])('later is logged with the options %o', async (options) => {
    const { fail, over } = await failing(options)
    fail(failure)
    await over
    await settled()
    expect(logged).toHaveBeenCalledExactlyOnceWith(failure)
  })

  it.each<[string, () => unknown]>([
    ['rejects', () => Promise.reject(new Error('no reporter'))],
    [
      'throws',
      () => {
        throw new Error('no reporter')
      },
    ],
  ])('later is not lost with an onError that %s', async (_how, onError) => {
    const { fail, over } = await failing({ onError })
    fail(failure)
    await over
    await settled()
    expect(logged).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'no reporter' }))
  })

  it('because the client left is told to nobody', async () => {
    const onError = vi.fn()
    const controller = new AbortController()
    const answer = sse(
      (stream) =>
        new Promise((_resolve, reject) => {
          stream.signal.addEventListener('abort', () => reject(stream.signal.reason))
        }),
      { onError },
    )
    await answer(new Request(PATH, { signal: controller.signal }))
    controller.abort()
    await settled()
    expect(onError).not.toHaveBeenCalled()
  })
})

describe('a web handler', () => {
  it('is answered at once when it is over, and at the end of the turn when it is not', async () => {
    let isTurnOver = false
    setImmediate(() => {
      isTurnOver = true
    })
    await sse(() => {})(new Request(PATH))
    expect(isTurnOver).toBe(false)
    await sse(() => new Promise(() => {}))(new Request(PATH))
    expect(isTurnOver).toBe(true)
  })

  it('gets all that the server gives, and the stream before it', async () => {
    const handler = vi.fn()
    const answer = sse((stream, request: Request, env: { key: string }, context: number) => {
      handler(stream.closed, request, env, context)
    })
    const request = new Request(PATH)
    await answer(request, { key: 'k' }, 7)
    expect(handler).toHaveBeenCalledExactlyOnceWith(false, request, { key: 'k' }, 7)
    expectTypeOf(answer).toEqualTypeOf<
      (request: Request, env: { key: string }, context: number) => Promise<Response>
    >()
  })

  it('serves many requests, each with a stream of its own', async () => {
    const streams = new Set<unknown>()
    const answer = sse((stream) => {
      streams.add(stream)
      return [{ data: streams.size }]
    })
    const bodies = await Promise.all([1, 2, 3].map(async () => (await answer(new Request(PATH))).text()))
    expect(bodies.map((body) => /data: (\d)\n\n$/.exec(body)?.[1])).toEqual(['1', '2', '3'])
  })

  it('may hand its stream to a hub', async () => {
    const news = new Hub().channel('news')
    const response = await sse((stream) => news.subscribe(stream))(new Request(PATH))
    const reader = response.body?.getReader()
    await reader?.read()
    await news.publish({ data: 'hello' })
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toMatch(/^id: .*\ndata: hello\n\n$/)
    await reader?.cancel()
  })

  it('is typed by the events that it may send', () => {
    const answer = sse<readonly [], { price: number }>((stream) => {
      stream.send({ event: 'price', data: 7 })
      // @ts-expect-error a price is a number
      stream.send({ event: 'price', data: '7' })
    })
    expectTypeOf(answer).toEqualTypeOf<(request: Request) => Promise<Response>>()
  })

  it('is not called for a HEAD, nor for who accepts no stream', async () => {
    const handler = vi.fn()
    const answer = sse(handler)
    expect((await answer(new Request(PATH, { method: 'HEAD' }))).body).toBeNull()
    expect((await answer(new Request(PATH, { headers: { accept: 'text/html' } }))).status).toBe(406)
    expect(handler).not.toHaveBeenCalled()
  })
})

describe('a mistake with a web handler', () => {
  it.each([
    [null],
    ['text'],
    [[]],
    [new Map()],
    [{ heartbeats: 1 }],
    [{ onError: 'log' }],
    [{ onError: null }],
  ])('is refused when it is made, with options like %o', (options) => {
    expect(() => sse(() => {}, options as never)).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
  })

  it('names onError in what it says of it', () => {
    expect(() => sse(() => {}, { onError: 'log' as never })).toThrow('Option onError must be a function, not')
  })

  it('rejects for what is no web Request', async () => {
    const answer = sse(() => {})
    for (const request of [undefined, { url: '/', headers: {} }]) {
      await expect(answer(request as never)).rejects.toMatchObject({ code: 'ERR_SSE_REQUEST' })
    }
  })
})

function fail(): never {
  throw failure
}
