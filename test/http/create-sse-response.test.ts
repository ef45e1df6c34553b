import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, nextTurn, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'

const made: SseStream[] = []
const onOpen = (message: unknown) => void made.push((message as { stream: SseStream }).stream)
const onUnhandled = vi.fn()

beforeEach(() => {
  subscribe('spillway:stream:open', onOpen)
  process.on('unhandledRejection', onUnhandled)
})

// Whatever a test does: it leaves no stream that holds the clock, and no promise that would crash the process.
afterEach(async () => {
  for (const stream of made.splice(0)) stream.destroy()
  vi.useRealTimers()
  await settled()
  unsubscribe('spillway:stream:open', onOpen)
  process.off('unhandledRejection', onUnhandled)
  expect(onUnhandled).not.toHaveBeenCalled()
})

interface Asked extends RequestInit {
  url?: string
}

/** A response that has been answered with a stream, which stays open. */
function open(options?: SseStreamOptions, { url = PATH, ...asked }: Asked = {}) {
  const request = new Request(url, asked)
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

describe('the head of a web response', () => {
  it('has what proxies need, and no more', () => {
    const { response } = open()
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      vary: 'Accept',
    })
  })

  it('has the headers of the caller, in place of its own and beside them', () => {
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
      vary: 'Origin, Accept',
    })
  })

  it('has the status of the caller', () => {
    expect(open({ status: 503 }).response.status).toBe(503)
  })

  it.each(['text/event-stream', '*/*', 'text/*', 'application/json, text/event-stream;q=0.1', ''])(
    'is that of a stream for who accepts %s (rule 18)',
    (accept) => {
      expect(open({}, { headers: { accept } }).response.status).toBe(200)
    },
  )

  it.each(['application/json', 'text/event-stream;q=0', 'text/html, */*;q=0'])(
    'is a 406 that varies for who accepts %s, and no handler is called (rule 18)',
    async (accept) => {
      const { response, stream } = open({}, { headers: { accept } })
      expect([response.status, response.headers.get('vary')]).toEqual([406, 'Accept'])
      expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
      expect(await response.text()).toContain('accept text/event-stream')
      expect(stream).toBeUndefined()
    },
  )

  it('is all that a HEAD gets, a stream or a refusal, and no handler is called (rule 19)', () => {
    const { response, stream } = open({ headers: { 'X-Own': 'yes' } }, { method: 'HEAD' })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(response.headers.get('x-own')).toBe('yes')
    const refused = open({}, { method: 'HEAD', headers: { accept: 'application/json' } })
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
  it('begins with a comment and the time to come back, before anything is sent (rule 16)', async () => {
    expect(await chunk(open({ retry: 1000 }).body.getReader())).toMatch(/^:\nretry: (1\d\d\d|2000)\n$/)
    expect(await chunk(open({ retry: 0 }).body.getReader())).toBe(':\n')
  })

  it('has all that was sent within a turn in one chunk', async () => {
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

  it('has what the handler returns, and ends after it', async () => {
    const { url } = new Request(PATH)
    const response = createSseResponse(new Request(PATH), async function* (stream, request) {
      yield { event: 'first', data: { lastEventId: stream.lastEventId ?? null } }
      yield request.url
    })
    const events = parseEvents(await response.text())
    expect(events.map(({ data }) => data)).toEqual(['{"lastEventId":null}', url])
  })

  it('holds a source to the pace of its reader', async () => {
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

  it('bounds what waits for a reader that has stopped: the stream ends and the body is broken off (rule 31)', async () => {
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

  it('goes on after what waited when its reader reads on, and loses nothing', async () => {
    const { stream, body } = open()
    for (let id = 0; id < 500; id++) {
      stream.send({ id, data: 'x'.repeat(1_000) })
      if (id % 50 === 0) await nextTurn()
    }
    expect(stream.send({ id: 500, data: 'last' })).toBe(false)
    const drained = stream.drained()
    const whole = new Response(body).text()
    expect(await drained).toBe(true)
    expect(stream.send({ id: 501, data: 'after' })).toBe(true)
    stream.close()
    expect(parseEvents(await whole).map(({ id }) => Number(id))).toEqual(
      Array.from({ length: 502 }, (_, id) => id),
    )
  })

  it('has what is sent and closed within the turn that made it', async () => {
    const { stream, response } = open()
    for (let id = 0; id < 100; id++) stream.send({ id, data: 'x'.repeat(5_000) })
    stream.close()
    expect(parseEvents(await response.text())).toHaveLength(100)
  })

  it('beats while it is idle', async () => {
    const reader = open({ heartbeat: 300 }).body.getReader()
    await chunk(reader)
    expect([await chunk(reader), await chunk(reader)]).toEqual([':\n', ':\n'])
  })
})

describe('the request of a web response', () => {
  it('says where the client stopped, in the header or in the query (rules 22, 23)', () => {
    const inHeader = { headers: { 'last-event-id': Buffer.from('é-7').toString('latin1') } }
    expect(open({}, { ...inHeader, url: `${PATH}?lastEventId=other` }).stream.lastEventId).toBe('é-7')
    expect(open({}, { url: `${PATH}?lastEventId=a%20b` }).stream.lastEventId).toBe('a b')
    expect(open().stream.lastEventId).toBeUndefined()
  })

  it('is handed to the handler as it came', () => {
    const request = new Request(PATH, { method: 'POST', body: 'prompt' })
    const handler = vi.fn()
    createSseResponse(request, handler)
    expect(handler).toHaveBeenCalledExactlyOnceWith(expect.anything(), request)
    expect(request.bodyUsed).toBe(false)
  })

  it('need not have a signal', async () => {
    const request = { url: PATH, method: 'GET', headers: new Headers() } as Request
    const response = createSseResponse(request, () => ['event'])
    expect(await response.text()).toContain('data: event\n\n')
  })
})

describe('a client of a web response', () => {
  const listeners = (request: Request) => getEventListeners(request.signal, 'abort').length

  it('that left first gets a handler with a closed stream, whose source is not read (rule 29)', async () => {
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
    expect(await response.text()).toMatch(/^:\nretry: \d+\n$/)
    await settled()
    expect([next.mock.calls.length, returned.mock.calls.length]).toEqual([0, 1])
    expect([listeners(request), vi.getTimerCount()]).toEqual([0, 0])
  })

  it('that leaves later ends the stream once, whether the server aborts, cancels or does both, in any order', async () => {
    const ways: Array<(leave: () => void, body: ReadableStream) => Promise<void>> = [
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
    for (const leave of ways) {
      const controller = new AbortController()
      const { request, stream, body } = open({}, { signal: controller.signal })
      const onClose = vi.fn()
      stream.on('close', onClose)
      for (let i = 0; i < 20; i++) stream.send({ data: 'x'.repeat(1_000) })
      const drained = stream.drained()
      await nextTurn()
      expect(listeners(request)).toBe(1)
      await leave(() => controller.abort(), body)
      await nextTurn()
      expect(onClose).toHaveBeenCalledExactlyOnceWith('client', undefined)
      expect(await drained).toBe(false)
      expect([stream.send({ data: 1 }), stream.bufferedBytes, listeners(request)]).toEqual([false, 0, 0])
    }
  })

  it('that leaves while a chunk is awaited leaves nobody waiting', async () => {
    const controller = new AbortController()
    const { body } = open({}, { signal: controller.signal })
    const reader = body.getReader()
    await reader.read()
    const waiting = reader.read()
    controller.abort()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await reader.cancel()
  })

  it('that leaves has the source of its stream closed, also one that never yields again (rule 34)', async () => {
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

  it('that aborts after the end changes nothing', async () => {
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

describe('the end of a web response', () => {
  it('leaves no timer and no listener, whichever it is', async () => {
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

  it('comes in a body that nobody reads when the beats have filled it, and then nothing is held', async () => {
    vi.useFakeTimers()
    const { stream } = open({ heartbeat: 15_000, stallTimeout: 30_000 })
    vi.advanceTimersByTime(2 * 60_000)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(3 * 60_000)
    expect(stream.closeReason).toBe('stalled')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('comes in a body that nobody reads to its end when it has stalled', async () => {
    vi.useFakeTimers()
    const { stream, body } = open({ stallTimeout: 30_000 })
    const end = closed(stream)
    stream.close()
    vi.advanceTimersByTime(30_300)
    expect(await end).toEqual({ reason: 'server', error: undefined })
    await expect(new Response(body).text()).rejects.toThrow()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is what a shutdown waits for: the last bytes were read', async () => {
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

  it('comes at once for a body that nobody reads when the grace of a shutdown is over', async () => {
    vi.useFakeTimers()
    const hub = new Hub()
    createSseResponse(new Request(PATH), (stream) => hub.subscribe(stream, ['news']))
    const down = hub.shutdown({ grace: 5_000 })
    await vi.advanceTimersByTimeAsync(5_000)
    await down
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('a web response that is thrown away', () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')

  /** How many of some streams are not garbage. The last one may still be on the stack. */
  async function leftOf(count: number, options: SseStreamOptions, wait: () => void): Promise<number> {
    const streams = Array.from({ length: count }, () => new WeakRef(open(options).stream))
    made.length = 0
    wait()
    await settled()
    collectGarbage()
    return streams.filter((each) => each.deref() !== undefined).length
  }

  it('holds nothing for long: once it has stalled, its stream is garbage', async () => {
    vi.useFakeTimers()
    expect(await leftOf(50, {}, () => vi.advanceTimersByTime(60_000))).toBe(50)
    expect(await leftOf(50, {}, () => vi.advanceTimersByTime(300_000))).toBeLessThanOrEqual(1)
  })

  it('holds nothing at all when it has no beat', async () => {
    expect(await leftOf(50, { heartbeat: 0 }, () => {})).toBeLessThanOrEqual(1)
  })
})

describe('a mistake in a web response', () => {
  const nodes = new IncomingMessage(new Socket())

  it.each([
    ['the request of Node', nodes],
    ['nothing', undefined],
    ['null', null],
    ['a URL', PATH],
    ['headers alone', { headers: new Headers() }],
    ['a plain object of headers', { url: PATH, method: 'GET', headers: { accept: '*/*' } }],
  ])('is %s for a request', (_what, request) => {
    const handler = vi.fn()
    expect(() => createSseResponse(request as Request, handler)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_REQUEST' }),
    )
    expect(handler).not.toHaveBeenCalled()
  })

  it.each([undefined, null, {}, 'text', [{ data: 1 }]])('is %s for a handler', (handler) => {
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
  ])('is an option like %o', (options) => {
    expect(() => createSseResponse(new Request(PATH), () => {}, options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })
})

describe('a handler of a web response', () => {
  const failure = new Error('secret of the handler')

  it('that throws at once has it thrown to the caller, and its stream is over', async () => {
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
      'fails as a generator',
      async function* () {
        yield { data: 'first' }
        throw failure
      },
    ],
    [
      'fails after it has sent something',
      async (stream) => {
        stream.send({ data: 'first' })
        await nextTurn()
        throw failure
      },
    ],
  ])('that %s ends its stream with the error, and the client learns nothing of it', async (_how, handler) => {
    const onClose = vi.fn()
    const response = createSseResponse(new Request(PATH), (stream) => {
      stream.on('close', onClose)
      return handler(stream) as never
    })
    const body = await new Response(response.body).text().catch((error) => error)
    await settled()
    expect(onClose).toHaveBeenCalledExactlyOnceWith('error', failure)
    expect(body).toMatchObject({ name: 'AbortError' })
    expect(String(body)).not.toContain('secret')
  })
})
