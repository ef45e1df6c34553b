import { describe, expect, test, vi } from 'vitest'
import { connect } from '../../src/client/connect.ts'
import { connectToFake } from '../support/client-connection.ts'
import { fakeFetch } from '../support/fake-fetch.ts'

const page = (events: object[], lastEventId: string | null = null, retry = 0) => ({
  events,
  lastEventId,
  retry,
})

describe('connect', () => {
  test.each(['share', 'persist'])(
    'throws a TypeError for a function as URL and %s without a name',
    (name) => {
      const message = 'share and persist must be names for a function.'
      expect(() => connect(() => '/prices', { [name]: true })).toThrow(new TypeError(message))
    },
  )
})

describe('a stream', () => {
  test('dispatches open, the transport and events', async () => {
    const { next, news, source } = await connectToFake()
    expect(source.readyState).toBe(source.CONNECTING)
    const request = next()
    expect(request.headers.get('accept')).toBe('text/event-stream')
    expect(request.url.search).toBe('')
    await request.open()
    await request.write('id: 1\nevent: price\ndata: {"value":1}\n\ndata: text\n\n')
    expect(news()).toEqual(['open', 'event-stream undefined', 'price {"value":1} #1', 'message text #1'])
    expect([source.readyState, source.lastEventId]).toEqual([source.OPEN, '1'])
  })

  test('moves the last event id by a position, and by a block without data, and dispatches neither', async () => {
    const { next, news, source } = await connectToFake()
    const request = next()
    await request.open()
    news()
    await request.write('id: 7\nevent: position\ndata: {}\n\n')
    expect(source.lastEventId).toBe('7')
    await request.write('id: 8\n\n')
    expect([source.lastEventId, news()]).toEqual(['8', []])
  })

  test('is resumed after the time that the server states when it ends cleanly', async () => {
    const { next, requests, news, pass } = await connectToFake()
    const first = next()
    await first.open()
    await first.write('id: 3\ndata: a\n\nretry: 4000\n')
    await first.end()
    expect(news().slice(3)).toEqual(['error 0'])
    await pass(3999)
    expect(requests).toEqual([])
    await pass(1)
    const second = next()
    expect(second.headers.get('last-event-id')).toBe('3')
    expect(second.url.search).toBe('')
    await second.open()
    expect(news()).toEqual(['open'])
  })

  test('that ends cleanly with a retry of 0 is resumed after 100 ms', async () => {
    const { next, requests, pass } = await connectToFake()
    for (let i = 0; i < 3; i++) {
      const request = next()
      await request.open('retry: 0\n\n')
      await request.end()
      await pass(99)
      expect(requests).toEqual([])
      await pass(1)
    }
    next()
  })

  test('sends a last event id that is not Latin-1 as UTF-8', async () => {
    const { next } = await connectToFake({ lastEventId: 'ł€' })
    expect(Buffer.from(next().headers.get('last-event-id') ?? '', 'latin1').toString()).toBe('ł€')
  })

  test.each(['a\u0001b', 'a\tb', 'a\nb', ' ', 'a '])(
    'sends the last event id %j, which no header can have, in the URL',
    async (id) => {
      const { next, errors } = await connectToFake({ lastEventId: id })
      const request = next()
      expect([request.headers.get('last-event-id'), request.query]).toEqual([null, { lastEventId: id }])
      expect(errors).toEqual([])
    },
  )

  test('sends a last event id of any length', async () => {
    const { next } = await connectToFake({ lastEventId: 'x'.repeat(2_000_000) })
    expect(next().headers.get('last-event-id')).toHaveLength(2_000_000)
  })

  test('delivers nothing after close, even within a read', async () => {
    const { next, source, seen } = await connectToFake()
    source.addEventListener('price', () => source.close())
    const request = next()
    await request.open()
    await request.write('event: price\ndata: 1\n\nevent: price\ndata: 2\n\n')
    expect(seen.filter((each) => each.startsWith('price'))).toEqual(['price 1 #'])
    expect([request.isAborted, source.readyState]).toEqual([true, source.CLOSED])
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'delivers nothing if closed %d microtasks after a response',
    async (count) => {
      const network = fakeFetch()
      const { pass, source, seen } = await connectToFake({
        fetch: async (...request) => {
          const response = await network.fetch(...request)
          void closeAfter(count)
          return response
        },
      })
      async function closeAfter(microtasks: number) {
        for (let i = 0; i < microtasks; i++) await undefined
        source.close()
      }
      const request = network.next()
      // The fake body ignores the signal, as one does that has arrived.
      await request.open('data: a\n\n')
      await pass(100_000)
      expect([seen, network.requests, vi.getTimerCount()]).toEqual([[], [], 0])
    },
  )

  test('delivers nothing if closed while its first bytes are read', async () => {
    const { next, source, seen } = await connectToFake()
    const request = next()
    await request.respond()
    const written = request.write('data: a\n\n')
    source.close()
    await written
    expect(seen).toEqual([])
  })

  test('dispatches nothing after close in the listener of open', async () => {
    const { next, source, seen } = await connectToFake()
    source.addEventListener('open', () => source.close())
    await next().open()
    expect([seen, source.readyState]).toEqual([['open'], source.CLOSED])
  })

  test('fails with ERR_SSE_LENGTH for an event that is too long', async () => {
    const { next, requests, errors, pass } = await connectToFake()
    const request = next()
    await request.open()
    await request.write(`data: ${'x'.repeat(2 ** 24)}`)
    expect(errors).toEqual([expect.objectContaining({ code: 'ERR_SSE_LENGTH' })])
    expect(request.isAborted).toBe(true)
    await pass(100_000)
    expect(requests).toEqual([])
  })

  test('leaves no timer for a heartbeat after the event whose listener closes the connection', async () => {
    const { next, source } = await connectToFake()
    source.addEventListener('message', () => source.close())
    const request = next()
    await request.respond()
    await request.write('data: a\n\n: heartbeat 15000\n')
    expect([source.readyState, vi.getTimerCount()]).toEqual([source.CLOSED, 0])
  })
})

describe('a response', () => {
  test('with 204 ends the connection', async () => {
    const { next, requests, news, source, pass } = await connectToFake()
    await next().respond(204, {})
    expect([news(), source.readyState]).toEqual([['error 2'], source.CLOSED])
    await pass(100_000)
    expect(requests).toEqual([])
  })

  test.each([400, 401, 404, 406, 410])('with %d fails with its status and body', async (status) => {
    const { next, requests, errors, source, pass } = await connectToFake()
    await next().answer('{"message":"no"}', status)
    expect(errors).toEqual([
      expect.objectContaining({ code: 'ERR_SSE_STATUS', status, body: '{"message":"no"}' }),
    ])
    expect(source.readyState).toBe(source.CLOSED)
    await pass(100_000)
    expect(requests).toEqual([])
  })

  test.each([408, 425, 429, 500, 503])('with %d is followed by another request', async (status) => {
    const { next, errors, source, pass } = await connectToFake()
    await next().answer('busy', status)
    expect(errors).toEqual([expect.objectContaining({ status })])
    expect(source.readyState).toBe(source.CONNECTING)
    await pass(1000)
    await next().open()
    expect(source.readyState).toBe(source.OPEN)
  })

  test('delays the next request by Retry-After, at most 10 minutes', async () => {
    const { next, requests, pass } = await connectToFake()
    await next().answer('', 503, 'text/plain', { 'retry-after': '20' })
    await pass(20_000)
    expect(requests).toEqual([])
    await pass(1000)
    await next().answer('', 503, 'text/plain', { 'retry-after': new Date(Date.now() + 50_000).toUTCString() })
    await pass(48_000)
    expect(requests).toEqual([])
    await pass(5000)
    await next().answer('', 429, 'text/plain', { 'retry-after': '99999999' })
    await pass(610_000)
    next()
  })

  test('that is a login page fails with its first line and status', async () => {
    const { next, errors, source } = await connectToFake()
    await next().answer('<!doctype html>\n<title>Log in</title>', 200, 'text/html')
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'ERR_SSE_FORMAT',
        status: 200,
        message: expect.stringContaining('<!doctype html>'),
      }),
    ])
    expect(String(errors[0])).not.toContain('Log in')
    expect(source.readyState).toBe(source.CLOSED)
  })

  test('whose wrong body never ends fails after a second, with the first 2000 characters', async () => {
    const { next, errors, pass } = await connectToFake()
    const request = next()
    await request.respond(200, { 'content-type': 'text/plain' })
    await request.write('x'.repeat(500))
    await pass(1000)
    expect(errors).toEqual([expect.objectContaining({ body: 'x'.repeat(500) })])
  })

  test.each([
    [403, 'ERR_SSE_STATUS'],
    [200, 'ERR_SSE_FORMAT'],
  ])('with %d whose wrong body is cut fails with %s', async (status, code) => {
    const { next, errors, source } = await connectToFake()
    const request = next()
    await request.respond(status, { 'content-type': 'text/plain' })
    await request.write('no')
    await request.cut()
    expect(errors).toEqual([expect.objectContaining({ code, status, body: 'no' })])
    expect(source.readyState).toBe(source.CLOSED)
  })

  test('that fails backs off with full jitter up to 30 s', async () => {
    const { next, requests, pass } = await connectToFake()
    const delays: number[] = []
    for (let i = 0; i < 8; i++) {
      await next().cut()
      let delay = 0
      for (; requests.length === 0; delay += 500) await pass(500)
      delays.push(delay)
    }
    expect(delays).toEqual([1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000])
  })
})

describe('a request', () => {
  test('calls the functions for url and headers at every attempt', async () => {
    let calls = 0
    const { next, pass } = await connectToFake({
      headers: async () => ({ authorization: `Bearer ${++calls}` }),
    })
    const first = next()
    expect(first.headers.get('authorization')).toBe('Bearer 1')
    await first.open()
    await first.end()
    await pass(1000)
    expect(next().headers.get('authorization')).toBe('Bearer 2')
  })

  test('is tried again when a function fails', async () => {
    let calls = 0
    const { next, errors, pass } = await connectToFake({
      headers: () => {
        if (++calls === 1) throw new Error('no token')
        return {}
      },
    })
    expect(errors).toEqual([new Error('no token')])
    await pass(1000)
    await next().open()
  })

  test.each([undefined, null])(
    'is tried again with backoff when a function rejects with %s',
    async (reason) => {
      let calls = 0
      const { next, requests, errors, source, pass } = await connectToFake({
        headers: () => (++calls > 2 ? {} : Promise.reject(reason)),
      })
      expect([errors, source.readyState]).toEqual([[expect.any(Error)], source.CONNECTING])
      await pass(1000)
      expect([errors.length, calls]).toEqual([2, 2])
      await pass(1999)
      expect(requests).toEqual([])
      await pass(1)
      await next().open()
    },
  )

  test('with POST is not repeated when it fails', async () => {
    const { next, requests, errors, source, pass } = await connectToFake({ method: 'POST', body: '{}' })
    const request = next()
    expect([request.init.method, request.init.body]).toEqual(['POST', '{}'])
    await request.cut()
    expect([errors.length, source.readyState]).toEqual([1, source.CLOSED])
    await pass(100_000)
    expect(requests).toEqual([])
  })

  test('with POST ends when the stream ends', async () => {
    const { next, source, news } = await connectToFake({ method: 'POST' })
    const request = next()
    await request.open()
    await request.write('data: a\n\n')
    await request.end()
    expect([source.readyState, news().at(-1)]).toEqual([source.CLOSED, 'error 2'])
  })

  test('with POST is resumed by the id that it has received', async () => {
    const { next, pass } = await connectToFake({ method: 'POST' })
    const first = next()
    await first.open()
    await first.write('id: 1\ndata: a\n\n')
    await first.cut()
    await pass(1000)
    const second = next()
    expect([second.init.method, second.headers.get('last-event-id')]).toEqual(['POST', '1'])
  })

  test('with POST is repeated if it is idempotent', async () => {
    const { next, pass } = await connectToFake({ method: 'POST', idempotent: true })
    await next().cut()
    await pass(1000)
    next()
  })

  test('with POST never starts a poll beside the stream', async () => {
    const { requests, next, pass } = await connectToFake({ method: 'POST' })
    const request = next()
    await pass(5000)
    await request.respond()
    await pass(5000)
    expect(requests).toEqual([])
  })

  test('ends when the signal is aborted', async () => {
    const controller = new AbortController()
    const { next, source } = await connectToFake({ signal: controller.signal })
    controller.abort()
    expect([next().isAborted, source.readyState]).toEqual([true, source.CLOSED])
  })
})

describe('a long poll', () => {
  /** Returns a connection that has fallen back. */
  async function polling() {
    const connection = await connectToFake()
    await connection.pass(1500)
    connection.next()
    await connection.next().answer(page([{ event: 'message', id: '1', data: 'a' }], '1'))
    return connection
  }

  test('delivers the events of a page, in the text that a stream would have', async () => {
    const { next, news, source } = await polling()
    news()
    const poll = next()
    expect(poll.query).toEqual({
      format: 'json',
      lastEventId: '1',
      transport: 'json',
      reason: 'no-headers',
    })
    expect(poll.headers.get('last-event-id')).toBe(null)
    await poll.answer(
      page(
        [
          { event: 'price', id: '2', data: { value: 1 } },
          { event: 'position', id: '3', data: {} },
          { event: 'message', data: 'text' },
        ],
        '4',
      ),
    )
    expect(news()).toEqual(['price {"value":1} #2', 'message text #3'])
    expect(source.lastEventId).toBe('4')
    expect(next().query).toEqual({ format: 'json', lastEventId: '4' })
  })

  test('waits for the time that the server states', async () => {
    const { next, requests, pass } = await polling()
    await next().answer(page([], '1', 3000))
    await pass(2999)
    expect(requests).toEqual([])
    await pass(1)
    next()
  })

  test('waits a second if an empty page came at once', async () => {
    const { next, requests, pass } = await polling()
    await next().answer(page([], '1'))
    expect(requests).toEqual([])
    await pass(1000)
    next()
  })

  test('delivers a gap as an event', async () => {
    const { next, news } = await polling()
    news()
    await next().answer(page([{ event: 'gap', id: '9', data: { reason: 'unknown' } }], '9'))
    expect(news()).toEqual(['gap {"reason":"unknown"} #9'])
  })

  test('ends the connection with 204', async () => {
    const { next, source } = await polling()
    await next().respond(204, {})
    expect(source.readyState).toBe(source.CLOSED)
  })

  test.each(['', '{', 'null', '{"events":[null]}', '{"lastEventId":"3"}', '[]'])(
    'that responds with %j is followed by a stream',
    async (body) => {
      const { next, source } = await polling()
      await next().answer(body)
      const stream = next()
      expect([stream.isPoll, stream.headers.get('last-event-id')]).toEqual([false, '1'])
      await stream.open()
      expect(source.readyState).toBe(source.OPEN)
    },
  )

  test('that fails is repeated after a delay', async () => {
    const { next, errors, pass } = await polling()
    await next().answer('', 502)
    expect(errors).toEqual([expect.objectContaining({ status: 502 })])
    await pass(1000)
    expect(next().isPoll).toBe(true)
  })

  test('is repeated after a delay when a function rejects without a reason', async () => {
    let isExpired = false
    const { next, errors, pass } = await connectToFake({
      headers: () => (isExpired ? Promise.reject() : {}),
    })
    await pass(1500)
    next()
    isExpired = true
    await next().answer(page([], '1'))
    expect(errors).toEqual([expect.any(Error)])
    isExpired = false
    await pass(1000)
    expect(next().isPoll).toBe(true)
  })

  test('opens the connection again after a failure', async () => {
    const { next, news, source, pass } = await polling()
    await next().cut()
    expect(source.readyState).toBe(source.CONNECTING)
    await pass(1000)
    news()
    await next().answer(page([], '1'))
    expect([source.readyState, news()]).toEqual([source.OPEN, ['open']])
  })

  test('ignores a retry that is not a number', async () => {
    const { next, requests, pass } = await polling()
    await next().answer({
      events: [{ event: 'message', data: 1, retry: 'soon' }],
      lastEventId: '1',
      retry: {},
    })
    await pass(1)
    await next().cut()
    await pass(40)
    expect(requests).toEqual([])
    await pass(60)
    next()
  })

  test('leaves no timer when a listener closes the connection', async () => {
    const { next, source } = await polling()
    source.addEventListener('price', () => source.close())
    await next().answer(page([{ event: 'price', data: 1 }], '1', 60_000))
    expect(vi.getTimerCount()).toBe(0)
  })

  test('is aborted after 60 s', async () => {
    const { next, errors, pass } = await polling()
    const poll = next()
    // The probe of the stream meanwhile fails.
    await pass(60_000)
    expect([poll.isAborted, errors]).toEqual([true, [expect.objectContaining({ code: 'ERR_SSE_SILENT' })]])
  })
})
