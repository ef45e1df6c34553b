import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { EventEmitter, getEventListeners } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { TICK } from '../../src/scheduler/clock.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { collectGarbage } from '../support/garbage.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, nextTurn, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'

const openStreams: SseStream[] = []
const onOpen = (message: unknown) => void openStreams.push((message as { stream: SseStream }).stream)
const onUnhandled = vi.fn()

beforeEach(() => {
  subscribe('spillway:stream:open', onOpen)
  process.on('unhandledRejection', onUnhandled)
})

// After each test: no open stream that the clock holds, and no rejection that would end the process.
afterEach(async () => {
  for (const stream of openStreams.splice(0)) stream.destroy()
  vi.useRealTimers()
  await settled()
  unsubscribe('spillway:stream:open', onOpen)
  process.off('unhandledRejection', onUnhandled)
  expect(onUnhandled).not.toHaveBeenCalled()
})

interface RequestSetup extends RequestInit {
  url?: string
}

/** Moves fake timers forward by one tick in each turn of the event loop, as real time does. */
async function advanceByTurns(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += TICK) {
    vi.advanceTimersByTime(TICK)
    await nextTurn()
  }
}

/** Opens a stream that stays open, with its response. */
function open(options?: SseStreamOptions, { url = PATH, ...init }: RequestSetup = {}) {
  const request = new Request(url, init)
  const streams: SseStream[] = []
  const response = createSseResponse(request, (stream) => void streams.push(stream), options)
  return {
    request,
    response,
    stream: streams[0] as SseStream,
    body: response.body as ReadableStream<Uint8Array>,
  }
}

async function chunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  return Buffer.from((await reader.read()).value ?? []).toString()
}

describe('the headers of a web response', () => {
  it('contain what proxies need and nothing else', () => {
    const { response } = open()
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
  })

  it('contain the headers of the caller, which override the defaults', () => {
    const { response } = open({
      headers: {
        'cache-control': 'no-store',
        'X-Count': 7,
        'Set-Cookie': ['a=1; Path=/', 'b=2'],
        vary: 'Origin',
      },
    })
    expect(response.headers.getSetCookie()).toEqual(['a=1; Path=/', 'b=2'])
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'cache-control': 'no-store',
      'x-count': '7',
      vary: 'Origin',
    })
  })

  it('are sent with the status of the caller', () => {
    expect(open({ status: 503 }).response.status).toBe(503)
  })

  it.each(['text/event-stream', '*/*', 'application/json', 'text/html, */*;q=0', ''])(
    'are those of a stream, without Vary, with Accept %s (rule 18)',
    (accept) => {
      const { response } = open({}, { headers: { accept } })
      expect([response.status, response.headers.get('vary')]).toEqual([200, null])
    },
  )

  it.each(['text/event-stream;q=0', '*/*, text/event-stream;q=0'])(
    'are those of a 406 with Vary for Accept %s, and the handler is not called (rule 18)',
    async (accept) => {
      const { response, stream } = open({}, { headers: { accept } })
      expect([response.status, response.headers.get('vary')]).toEqual([406, 'Accept'])
      expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(await response.text()).toContain('accept text/event-stream')
      expect(stream).toBeUndefined()
    },
  )

  it.each<[accept: string, status: number]>([
    ['*/*', 406],
    ['application/json, text/plain, */*', 406],
    ['text/html, text/event-stream;q=0.1', 200],
  ])('have Vary with Accept %s and negotiate, and the status %d (rule 18)', (accept, status) => {
    const { response } = open({ negotiate: true }, { headers: { accept } })
    expect([response.status, response.headers.get('vary')]).toEqual([status, 'Accept'])
  })

  it('add Accept to the Vary of the caller with negotiate (rule 18)', () => {
    const init = { headers: { accept: 'text/event-stream' } }
    const { response } = open({ negotiate: true, headers: { vary: 'Origin' } }, init)
    expect(response.headers.get('vary')).toBe('Origin, Accept')
  })

  it('are the whole response to HEAD, and the handler is not called (rule 19)', () => {
    const { response, stream } = open({ headers: { 'X-Own': 'yes' } }, { method: 'HEAD' })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(response.headers.get('x-own')).toBe('yes')
    const refused = open({}, { method: 'HEAD', headers: { accept: 'text/event-stream;q=0' } })
    expect(refused.response.status).toBe(406)
    expect([response.body, stream, refused.response.body, refused.stream]).toEqual([
      null,
      undefined,
      null,
      undefined,
    ])
  })
})

describe('the body of a web response', () => {
  it('starts with a comment and the reconnection time before anything is sent (rule 16)', async () => {
    expect(await chunk(open({ retry: 1000 }).body.getReader())).toMatch(
      /^:\nretry: (1\d\d\d|2000)\n: heartbeat \d+\n$/,
    )
    expect(await chunk(open({ retry: 0 }).body.getReader())).toBe(':\n: heartbeat 15000\n')
  })

  it.each([
    [10, ':\n: heartbeat 100\n'],
    [250, ':\n: heartbeat 250\n'],
    [0, ':\n'],
  ])('states for a heartbeat of %d ms the interval in which it is sent', async (heartbeat, preamble) => {
    expect(await chunk(open({ heartbeat, retry: 0 }).body.getReader())).toBe(preamble)
  })

  it('contains everything sent within one turn in one chunk', async () => {
    const { stream, body } = open()
    const reader = body.getReader()
    await chunk(reader)
    for (const turn of ['a', 'b']) {
      for (let i = 0; i < 3; i++) stream.send({ data: `${turn}${i}` })
      expect(parseEvents(await chunk(reader)).map(({ data }) => data)).toEqual([
        `${turn}0`,
        `${turn}1`,
        `${turn}2`,
      ])
    }
  })

  it('contains the events that the handler returns and then ends', async () => {
    const { url } = new Request(PATH)
    const response = createSseResponse(new Request(PATH), async function* (stream, request) {
      yield { event: 'first', data: { lastEventId: stream.lastEventId ?? null } }
      yield request.url
    })
    const events = parseEvents(await response.text())
    expect(events.map(({ data }) => data)).toEqual(['{"lastEventId":null}', url])
  })

  it('pauses a source until the body is read', async () => {
    let yielded = 0
    const response = createSseResponse(new Request(PATH), function* () {
      for (; yielded < 1_000; yielded++) yield { data: 'x'.repeat(1_000) }
    })
    await settled()
    const before = yielded
    expect(before).toBeLessThan(60)
    await settled()
    expect(yielded).toBe(before)
    expect(parseEvents(await response.text())).toHaveLength(1_000)
  })

  it('errors with the reason overflow when its reader stops and the queue is full (rule 31)', async () => {
    const { stream, body } = open({ maxBufferedBytes: 100_000 })
    const end = closed(stream)
    let most = 0
    while (!stream.closed) {
      stream.send({ data: 'x'.repeat(10_000) })
      most = Math.max(most, stream.bufferedBytes)
      await nextTurn()
    }
    expect(await end).toEqual({ reason: 'overflow', error: undefined })
    expect(most).toBeGreaterThan(80_000)
    expect(most).toBeLessThanOrEqual(100_000)
    await expect(new Response(body).text()).rejects.toThrow()
  })

  it('contains every event when its reader pauses and continues', async () => {
    const { stream, body } = open()
    for (let id = 0; id < 500; id++) {
      stream.send({ id, data: 'x'.repeat(1_000) })
      if (id % 50 === 0) await nextTurn()
    }
    expect(stream.send({ id: 500, data: 'last' })).toBe(false)
    const drained = stream.drained()
    const text = new Response(body).text()
    expect(await drained).toBe(true)
    expect(stream.send({ id: 501, data: 'after' })).toBe(true)
    stream.close()
    expect(parseEvents(await text).map(({ id }) => Number(id))).toEqual(
      Array.from({ length: 502 }, (_, id) => id),
    )
  })

  it('contains events that are sent and closed in the turn of the request', async () => {
    const { stream, response } = open()
    for (let id = 0; id < 100; id++) stream.send({ id, data: 'x'.repeat(5_000) })
    stream.close()
    expect(parseEvents(await response.text())).toHaveLength(100)
  })

  it('contains heartbeats while the stream is idle', async () => {
    const reader = open({ heartbeat: 300 }).body.getReader()
    await chunk(reader)
    expect([await chunk(reader), await chunk(reader)]).toEqual([':\n', ':\n'])
  })
})

describe('the request of a web response', () => {
  it('provides the last event id in the header or in the query (rules 22, 23)', () => {
    const inHeader = { headers: { 'last-event-id': Buffer.from('é-7').toString('latin1') } }
    expect(open({}, { ...inHeader, url: `${PATH}?lastEventId=other` }).stream.lastEventId).toBe('é-7')
    expect(open({}, { url: `${PATH}?lastEventId=a%20b` }).stream.lastEventId).toBe('a b')
    expect(open().stream.lastEventId).toBeUndefined()
  })

  it('is passed to the handler unread', () => {
    const request = new Request(PATH, { method: 'POST', body: 'prompt' })
    const handler = vi.fn()
    createSseResponse(request, handler)
    expect(handler).toHaveBeenCalledExactlyOnceWith(expect.anything(), request)
    expect(request.bodyUsed).toBe(false)
  })

  it('may have no signal', async () => {
    const request = { url: PATH, method: 'GET', headers: new Headers() } as Request
    const response = createSseResponse(request, () => ['event'])
    expect(await response.text()).toContain('data: event\n\n')
  })
})

describe('createSseResponse', () => {
  const listeners = (request: Request) => getEventListeners(request.signal, 'abort').length

  it('passes a closed stream and closes the returned source unread when the request was aborted before (rule 29)', async () => {
    vi.useFakeTimers()
    const request = new Request(PATH, { signal: AbortSignal.abort() })
    const next = vi.fn()
    const returned = vi.fn()
    const source = { [Symbol.asyncIterator]: () => ({ next, return: returned }) }
    const seen = vi.fn()
    const response = createSseResponse(request, (stream) => {
      seen(stream.closed, stream.closeReason, stream.signal.aborted, stream.send({ data: 1 }))
      return source
    })
    expect(seen).toHaveBeenCalledExactlyOnceWith(true, 'client', true, false)
    expect(await response.text()).toMatch(/^:\nretry: \d+\n: heartbeat \d+\n$/)
    await settled()
    expect([next.mock.calls.length, returned.mock.calls.length]).toEqual([0, 1])
    expect([listeners(request), vi.getTimerCount()]).toEqual([0, 0])
  })

  it('closes the stream once when the server aborts the request, cancels the body or does both', async () => {
    const disconnects: Array<(abort: () => void, body: ReadableStream) => Promise<void>> = [
      async (abort) => abort(),
      (_abort, body) => body.cancel(),
      async (abort, body) => {
        abort()
        await body.cancel()
      },
      async (abort, body) => {
        const cancelled = body.cancel()
        abort()
        await cancelled
      },
    ]
    for (const disconnect of disconnects) {
      const controller = new AbortController()
      const { request, stream, body } = open({}, { signal: controller.signal })
      const onClose = vi.fn()
      stream.on('close', onClose)
      for (let i = 0; i < 20; i++) stream.send({ data: 'x'.repeat(1_000) })
      const drained = stream.drained()
      await nextTurn()
      expect(listeners(request)).toBe(1)
      await disconnect(() => controller.abort(), body)
      await nextTurn()
      expect(onClose).toHaveBeenCalledExactlyOnceWith('client', undefined)
      expect(await drained).toBe(false)
      expect([stream.send({ data: 1 }), stream.bufferedBytes, listeners(request)]).toEqual([false, 0, 0])
    }
  })

  it('ends a pending read of the body when the request is aborted', async () => {
    const controller = new AbortController()
    const { body } = open({}, { signal: controller.signal })
    const reader = body.getReader()
    await reader.read()
    const waiting = reader.read()
    controller.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await reader.cancel()
  })

  it('closes the source when the client disconnects during a pending read (rule 34)', async () => {
    const returned = vi.fn(async () => ({ done: true, value: undefined }) as const)
    const source = {
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: returned }),
    }
    const response = createSseResponse(new Request(PATH), () => source)
    await nextTurn()
    await response.body?.cancel()
    await settled()
    expect(returned).toHaveBeenCalledTimes(1)
  })

  it('ignores an abort after the end of the stream', async () => {
    const controller = new AbortController()
    const { stream, response } = open({}, { signal: controller.signal })
    const onClose = vi.fn()
    stream.on('close', onClose)
    stream.send({ data: 'all' })
    stream.close()
    expect(await response.text()).toContain('data: all\n\n')
    controller.abort()
    await settled()
    expect(onClose).toHaveBeenCalledExactlyOnceWith('server', undefined)
  })
})

describe('the end of a web stream', () => {
  it('removes all timers and listeners', async () => {
    vi.useFakeTimers()
    const ends: Array<(stream: SseStream, body: ReadableStream) => unknown> = [
      (stream, body) => {
        stream.close()
        return new Response(body).text()
      },
      (stream) => stream.destroy(),
      (stream) => stream.destroy(new Error('failed')),
      (_stream, body) => body.cancel(),
    ]
    for (const end of ends) {
      const { request, stream, body } = open()
      expect(vi.getTimerCount()).toBe(1)
      await end(stream, body)
      await settled()
      expect(stream.closed).toBe(true)
      expect([vi.getTimerCount(), getEventListeners(request.signal, 'abort').length]).toEqual([0, 0])
    }
  })

  it('comes after the stall timeout once heartbeats have filled an unread body', async () => {
    vi.useFakeTimers()
    const { stream } = open({ heartbeat: 15_000, stallTimeout: 30_000 })
    vi.advanceTimersByTime(2 * 60_000)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(3 * 60_000)
    expect(stream.closeReason).toBe('stalled')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('comes after the stall timeout if the body is never read, and heartbeats do not fill it', async () => {
    vi.useFakeTimers()
    const { stream } = open({ heartbeat: 15_000, stallTimeout: 30_000 })
    await advanceByTurns(29_900)
    expect(stream.closed).toBe(false)
    await advanceByTurns(400)
    expect(stream.closeReason).toBe('stalled')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('does not come while the body is read and only heartbeats are sent', async () => {
    vi.useFakeTimers()
    const { stream, body } = open({ heartbeat: 15_000, stallTimeout: 30_000 })
    let text = ''
    const read = async () => {
      for await (const bytes of body) text += Buffer.from(bytes).toString()
    }
    read().catch(() => {})
    await advanceByTurns(120_000)
    expect(stream.closed).toBe(false)
    expect(text.match(/^:$/gm)?.length).toBeGreaterThan(6)
  })

  it('comes after the stall timeout for a closed stream whose body is not read', async () => {
    vi.useFakeTimers()
    const { stream, body } = open({ stallTimeout: 30_000 })
    const end = closed(stream)
    stream.close()
    vi.advanceTimersByTime(30_300)
    expect(await end).toEqual({ reason: 'server', error: undefined })
    await expect(new Response(body).text()).rejects.toThrow()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('delays hub.shutdown() until the last bytes are read', async () => {
    const hub = new Hub()
    const response = createSseResponse(new Request(PATH), (stream) => hub.subscribe(stream, ['news']))
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await hub.channel('news').publish({ data: 'last' })
    const onDown = vi.fn()
    const down = hub.shutdown({ grace: 5_000 }).then(onDown)
    await settled()
    expect(onDown).not.toHaveBeenCalled()
    expect(await chunk(reader)).toMatch(/^:\n/)
    let last = ''
    for (let part = await chunk(reader); part !== ''; part = await chunk(reader)) last += part
    await down
    expect(last).toMatch(/data: last\n\nretry: \d+\n$/)
  })

  it('comes within a tick after the grace of hub.shutdown() if the body is not read', async () => {
    vi.useFakeTimers()
    const hub = new Hub()
    createSseResponse(new Request(PATH), (stream) => hub.subscribe(stream, ['news']))
    const down = hub.shutdown({ grace: 5_000 })
    await vi.advanceTimersByTimeAsync(5_100)
    await down
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the stream of a discarded web response', () => {
  /** Returns how many streams were not garbage-collected. The last one may still be on the stack. */
  async function leftOf(count: number, options: SseStreamOptions, wait: () => void): Promise<number> {
    const streams = Array.from({ length: count }, () => new WeakRef(open(options).stream))
    openStreams.length = 0
    wait()
    await settled()
    collectGarbage()
    return streams.filter((each) => each.deref() !== undefined).length
  }

  it('is garbage-collected after its stall timeout', async () => {
    vi.useFakeTimers()
    expect(await leftOf(50, {}, () => vi.advanceTimersByTime(60_000))).toBe(50)
    expect(await leftOf(50, {}, () => vi.advanceTimersByTime(300_000))).toBeLessThanOrEqual(1)
  })

  it('is garbage-collected immediately without a heartbeat', async () => {
    expect(await leftOf(50, { heartbeat: 0 }, () => {})).toBeLessThanOrEqual(1)
  })
})

function catchError(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('createSseResponse with bad input', () => {
  const nodes = new IncomingMessage(new Socket())

  it.each([
    ['a Node.js request', nodes],
    ['undefined', undefined],
    ['null', null],
    ['a URL', PATH],
    ['headers only', { headers: new Headers() }],
    ['a plain object of headers', { url: PATH, method: 'GET', headers: { accept: '*/*' } }],
  ])('rejects %s as a request', (_what, request) => {
    const handler = vi.fn()
    expect(() => createSseResponse(request as Request, handler)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_REQUEST' }),
    )
    expect(handler).not.toHaveBeenCalled()
  })

  it('names createSseStream for a Node.js request', () => {
    const request = Object.assign(new IncomingMessage(new Socket()), { method: 'GET' })
    expect(() => createSseResponse(request as never, () => {})).toThrow(
      'Use createSseStream for a Node.js request.',
    )
  })

  it('names the request of a context of Hono, and of its own request', async () => {
    let thrown: unknown[] = []
    const app = new Hono().get('/', (context) => {
      thrown = [context, context.req].map((each) =>
        catchError(() => createSseResponse(each as never, () => {})),
      )
      return context.text('')
    })
    await app.request('/')
    const message = (given: string) =>
      `Expected a web Request, not a ${given}. Did you mean context.req.raw (Hono)?`
    expect(thrown).toEqual(
      ['Context', 'HonoRequest'].map((given) => expect.objectContaining({ message: message(given) })),
    )
  })

  it.each([undefined, null, {}, 'text', [{ data: 1 }]])('rejects %s as a handler', (handler) => {
    expect(() => createSseResponse(new Request(PATH), handler as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_HANDLER' }),
    )
  })

  it.each([
    { heartbeats: 1 },
    { retry: -1 },
    { status: 204 },
    { headers: { 'Content-Length': '1' } },
    { headers: { 'X-A': 'a\r\nX-B: b' } },
    { onError() {} },
    null,
    [],
  ])('rejects the options %o', (options) => {
    expect(() => createSseResponse(new Request(PATH), () => {}, options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })
})

describe('the handler of createSseResponse', () => {
  const failure = new Error('a secret of the handler')

  it('throws a synchronous error to the caller and closes its stream', async () => {
    vi.useFakeTimers()
    const request = new Request(PATH)
    const onClose = vi.fn()
    expect(() =>
      createSseResponse(request, (stream) => {
        stream.on('close', onClose)
        throw failure
      }),
    ).toThrow(failure)
    await settled()
    expect(onClose).toHaveBeenCalledExactlyOnceWith('error', failure)
    expect([vi.getTimerCount(), getEventListeners(request.signal, 'abort').length]).toEqual([0, 0])
  })

  it.each<[string, (stream: SseStream) => unknown]>([
    ['rejects', () => Promise.reject(failure)],
    [
      'is a generator that throws',
      async function* () {
        yield { data: 'first' }
        throw failure
      },
    ],
    [
      'rejects after it has sent an event',
      async (stream) => {
        stream.send({ data: 'first' })
        await nextTurn()
        throw failure
      },
    ],
  ])('closes its stream with an error that is not sent to the client when it %s', async (_how, handler) => {
    for (const path of [PATH, `${PATH}?format=json`]) {
      const onClose = vi.fn()
      const respond = (stream: SseStream) => {
        stream.on('close', onClose)
        return handler(stream) as never
      }
      const options = { formats: ['event-stream', 'json'] } as const
      const response = createSseResponse(new Request(path), respond, options)
      const body = await new Response(response.body).text().catch((error) => error)
      await settled()
      expect(onClose).toHaveBeenCalledExactlyOnceWith('error', failure)
      expect(body).toMatchObject({ name: 'AbortError' })
      expect(String(body)).not.toContain('secret')
    }
  })

  it.each<[string, unknown]>([
    ['an event', { event: 'price', data: 1 }],
    ['a string', 'text'],
    ['a number', 7],
    ['a bigint', 7n],
    ['bytes', new Uint8Array(1)],
  ])('rejects the return value %s with a message that explains what to do', async (_type, returned) => {
    const onClose = vi.fn()
    const call = () =>
      createSseResponse(new Request(PATH), (stream) => {
        stream.on('close', onClose)
        return returned as never
      })
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_SSE_HANDLER' }))
    expect(call).toThrow('yield it, or return it in an array.')
    await settled()
    expect(onClose).toHaveBeenCalledWith('error', expect.objectContaining({ code: 'ERR_SSE_HANDLER' }))
  })

  it.each<[string, () => unknown]>([
    [
      'a generator function',
      function* () {
        yield { data: 1 }
      },
    ],
    [
      'an async generator function',
      async function* () {
        yield { data: 1 }
      },
    ],
    ['an async function', async () => [{ data: 1 }]],
  ])('rejects %s that a handler returns and does not call', async (_type, uncalled) => {
    const error = {
      code: 'ERR_SSE_HANDLER',
      message: expect.stringMatching(/not a function\. Call it, and return its result\.$/),
    }
    expect(() => createSseResponse(new Request(PATH), () => uncalled as never)).toThrow(
      expect.objectContaining(error),
    )
    const onClose = vi.fn()
    createSseResponse(new Request(PATH), async (stream) => {
      stream.on('close', onClose)
      return uncalled as never
    })
    await settled()
    expect(onClose).toHaveBeenCalledExactlyOnceWith('error', expect.objectContaining(error))
  })

  it.each<[string, Response, RegExp]>([
    ['a Response', new Response('no'), /^A handler can return a Response only from spillway\/web/],
    [
      'a Response that is an event stream',
      new Response('', { headers: { 'Content-Type': 'text/event-stream' } }),
      /parseEvents\(response\)\.$/,
    ],
  ])('rejects a handler that returns %s', (_what, returned, message) => {
    expect(() => createSseResponse(new Request(PATH), () => returned as never)).toThrow(message)
  })

  it('closes its stream with ERR_SSE_HANDLER when it resolves with an event', async () => {
    const onClose = vi.fn()
    createSseResponse(new Request(PATH), async (stream) => {
      stream.on('close', onClose)
      return { data: 1 } as never
    })
    await settled()
    expect(onClose).toHaveBeenCalledWith('error', expect.objectContaining({ code: 'ERR_SSE_HANDLER' }))
  })

  describe('whose error no listener receives', () => {
    let printed: unknown[][] = []
    beforeEach(() => {
      printed = vi.spyOn(console, 'error').mockImplementation(() => {}).mock.calls
    })
    afterEach(() => void vi.restoreAllMocks())

    it.each<[string, () => unknown, unknown]>([
      ['rejects', () => Promise.reject(failure), failure],
      ['rejects with undefined', () => Promise.reject(), expect.any(Error)],
      [
        'resolves with an event',
        async () => ({ data: 1 }),
        expect.objectContaining({ code: 'ERR_SSE_HANDLER' }),
      ],
      [
        'is a generator that throws',
        async function* () {
          yield { data: 'first' }
          throw failure
        },
        failure,
      ],
    ])('prints it when it %s', async (_how, handler, error) => {
      createSseResponse(new Request(PATH), handler as never)
      await settled()
      expect(printed).toEqual([[error]])
    })

    it.each(['on', 'once'] as const)('prints nothing if stream.%s has a listener of close', async (add) => {
      const onClose = vi.fn()
      createSseResponse(new Request(PATH), async (stream) => {
        stream[add]('close', onClose)
        throw failure
      })
      await settled()
      expect(onClose).toHaveBeenCalledExactlyOnceWith('error', failure)
      expect(printed).toEqual([])
    })

    it('prints it if the stream was closed before, because the close event lacks it', async () => {
      const onClose = vi.fn()
      createSseResponse(new Request(PATH), async (stream) => {
        stream.on('close', onClose)
        stream.destroy()
        await settled()
        throw failure
      })
      await settled()
      await settled()
      expect(printed).toEqual([[failure]])
      expect(onClose).toHaveBeenCalledExactlyOnceWith('server', undefined)
    })

    it('prints nothing if the handler throws synchronously, because the caller receives it', async () => {
      const call = () =>
        createSseResponse(new Request(PATH), () => {
          throw failure
        })
      expect(call).toThrow(failure)
      await settled()
      expect(printed).toEqual([])
    })

    it('prints nothing if the signal of the stream has aborted the work', async () => {
      const request = new AbortController()
      createSseResponse(new Request(PATH, { signal: request.signal }), ({ signal }) => {
        return new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(failure)))
      })
      request.abort()
      await settled()
      expect(printed).toEqual([])
    })
  })

  it.each<[string, (stream: SseStream) => unknown]>([
    ['nothing', () => {}],
    ['null', () => null],
    ['a boolean', (stream) => stream.send({ data: 1 })],
    ['a function', (stream) => new Hub().subscribe(stream, 'news')],
    ['its stream', (stream) => stream.on('close', () => {})],
    ['a response of Node or Express', () => ({ headersSent: true })],
    ['a reply of Fastify', () => ({ sent: true })],
  ])('keeps the stream open when it returns %s, or a promise of it', async (_what, handler) => {
    for (const isAsync of [false, true]) {
      let opened: SseStream | undefined
      const response = createSseResponse(new Request(PATH), (stream) => {
        opened = stream
        return (isAsync ? Promise.resolve(handler(stream)) : handler(stream)) as never
      })
      await settled()
      expect(opened?.closed).toBe(false)
      await response.body?.cancel()
    }
  })

  it('has a type that excludes events, text, numbers and Responses', () => {
    const request = new Request(PATH)
    // @ts-expect-error: an event is sent, yielded or returned in an array.
    expect(() => createSseResponse(request, () => ({ event: 'price', data: 1 }))).toThrow()
    // @ts-expect-error: text is sent, yielded or returned in an array.
    expect(() => createSseResponse(request, () => 'text')).toThrow()
    // @ts-expect-error: a number is not a source.
    expect(() => createSseResponse(request, () => 7)).toThrow()
    // @ts-expect-error: the response is the stream.
    expect(() => createSseResponse(request, () => new Response())).toThrow()
  })

  it('has a type that excludes generator functions, and no other function', () => {
    const request = new Request(PATH)
    async function* events() {
      yield { data: 1 }
    }
    // @ts-expect-error: the function is to be called.
    expect(() => createSseResponse(request, () => events)).toThrow()
    // @ts-expect-error: a function that returns a source is to be called.
    const { body: list } = createSseResponse(request, () => () => [{ data: 1 }])
    const emitter = new EventEmitter()
    const { body: off } = createSseResponse(request, () => () => emitter.off('x', () => {}))
    const { body: set } = createSseResponse(request, () => () => new Set<number>().delete(1))
    const { body: unsubscribe } = createSseResponse(request, (stream) => new Hub().subscribe(stream, 'news'))
    for (const body of [list, off, set, unsubscribe]) void body?.cancel()
  })
})

describe('the response to a long poll', () => {
  const options = { formats: ['event-stream', 'json'] } as const
  const poll = (init: RequestSetup = {}) => open(options, { url: `${PATH}?format=json`, ...init })

  it('is not compressed, because its headers are returned before its events are known', async () => {
    const { response, stream } = poll({ headers: { 'accept-encoding': 'gzip' } })
    stream.send({ data: 'x'.repeat(2_000) })
    stream.close()
    expect(response.headers.get('content-encoding')).toBeNull()
    expect(await response.json()).toMatchObject({ events: [{ data: 'x'.repeat(2_000) }] })
  })

  it('has the body of a full page, even if the client has it', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const ids = []
    for (let index = 0; index < 3; index++) ids.push(await channel.publish({ data: index }))
    const headers = { 'if-none-match': `W/"${ids[0]}%20${ids[2]}"` }
    const request = new Request(`${PATH}?format=json&lastEventId=${ids[0]}`, { headers })
    const response = createSseResponse(request, (stream) => channel.subscribe(stream), {
      ...options,
      longPoll: { pageSize: 2 },
    })
    expect(await response.json()).toMatchObject({ lastEventId: ids[2] })
  })

  it('closes its stream when the server cancels the body', async () => {
    const { body, stream } = poll()
    const end = closed(stream)
    await body.cancel()
    expect(await end).toMatchObject({ reason: 'client' })
  })

  it('is broken off when its stream is destroyed', async () => {
    const { response, stream } = poll()
    stream.destroy()
    await expect(response.text()).rejects.toThrow('destroyed')
  })
})
