import { describe, expect, test, vi } from 'vitest'
import { Fallback } from '../../src/client/fallback.ts'
import { connectToFake } from '../support/client-connection.ts'
import { settled } from '../support/fake-fetch.ts'

const page = (events: object[], lastEventId: string | null = null) => ({ events, lastEventId, retry: 0 })
const event = (id: string, data = id) => ({ event: 'message', id, data })

type Connection = Awaited<ReturnType<typeof connectToFake>>

/** Brings a connection to long polls because of a stream without headers. Returns the poll in progress. */
async function fallBack({ pass, next }: Connection, id = '1') {
  await pass(1500)
  const stream = next()
  await next().answer(page([event(id)], id))
  return { stream, poll: next() }
}

describe('no response headers within 1.5 s', () => {
  test('start a poll beside the stream, and the poll that responds first continues', async () => {
    const connection = await connectToFake({ lastEventId: '5' })
    const { pass, next, requests, news } = connection
    const stream = next()
    await pass(1499)
    expect(requests).toEqual([])
    await pass(1)
    const poll = next()
    expect(poll.query).toEqual({ format: 'json', lastEventId: '5', hold: '300' })
    expect([stream.isAborted, news()]).toEqual([false, []])
    await poll.answer(page([event('6')], '6'))
    expect(stream.isAborted).toBe(true)
    expect(news()).toEqual(['open', 'json no-headers', 'message 6 #6'])
    expect(next().query).toEqual({
      format: 'json',
      lastEventId: '6',
      transport: 'json',
      reason: 'no-headers',
    })
  })

  test('cancel the poll if the stream responds first, so that a wrong guess costs one request', async () => {
    const { pass, next, requests, news } = await connectToFake()
    const stream = next()
    await pass(1500)
    const poll = next()
    await stream.open()
    expect([poll.isAborted, stream.isAborted]).toEqual([true, false])
    await stream.write('id: 1\ndata: a\n\n')
    await pass(60_000 - 25_000)
    expect(news()).toEqual(['open', 'event-stream undefined', 'message a #1'])
    expect(requests).toEqual([])
  })

  test.each([
    [406, 'text/plain', 'event-stream'],
    [404, 'text/html', ''],
    [200, 'text/event-stream', ': heartbeat 15000\n'],
    [200, 'text/html', '<html>'],
  ])('stay with the stream if the poll responds with %d %s', async (status, type, body) => {
    const { pass, next, requests, news, errors } = await connectToFake()
    const stream = next()
    await pass(1500)
    const poll = next()
    await poll.respond(status, { 'content-type': type })
    await poll.write(body)
    await pass(1000)
    await pass(20_000)
    expect([stream.isAborted, requests.length]).toEqual([false, 0])
    await stream.respond()
    await pass(5000)
    await stream.write('data: a\n\n')
    expect(news()).toEqual(['open', 'event-stream undefined', 'message a #'])
    expect([errors, requests.length]).toEqual([[], 0])
    // The next stream is not suspected either.
    await stream.end()
    await pass(2000)
    next()
    await pass(10_000)
    expect(requests).toEqual([])
  })

  test('repeat a poll that fails while the stream hangs', async () => {
    const { pass, next, news } = await connectToFake()
    const stream = next()
    await pass(1500)
    await next().answer('', 503)
    await pass(1000)
    await next().answer(page([event('1')], '1'))
    expect([stream.isAborted, news().slice(0, 2)]).toEqual([true, ['open', 'json no-headers']])
  })

  test('keep the stream if the server, which has no long poll, responds to the poll with 204', async () => {
    const { pass, next, requests, news } = await connectToFake()
    const stream = next()
    await pass(1500)
    await next().respond(204)
    await pass(60_000)
    await stream.open()
    expect([requests.length, news()]).toEqual([0, ['open', 'event-stream undefined']])
  })

  test('count from the request, not from the functions of the user', async () => {
    const { pass, requests } = await connectToFake({ headers: () => new Promise(() => {}) })
    await pass(10_000)
    expect(requests).toEqual([])
  })

  test('do not start polling if the stream then fails, because the server may restart', async () => {
    const { pass, next, news } = await connectToFake()
    const stream = next()
    await pass(1500)
    const poll = next()
    await stream.cut()
    expect(poll.isAborted).toBe(true)
    await pass(1000)
    const second = next()
    expect(second.isPoll).toBe(false)
    await second.open()
    expect(news()).toEqual(['error 0', 'open', 'event-stream undefined'])
  })
})

describe('no first byte within 500 ms of the headers', () => {
  test('asks once for padded heartbeats, and then starts a poll beside the padded stream', async () => {
    const { pass, next, requests, news } = await connectToFake({ lastEventId: '5' })
    const plain = next()
    await plain.respond()
    await pass(499)
    expect(requests).toEqual([])
    await pass(1)
    const padded = next()
    expect([plain.isAborted, padded.query]).toEqual([
      true,
      { padded: '1', transport: 'event-stream', reason: 'no-first-byte' },
    ])
    await padded.respond()
    await pass(500)
    const poll = next()
    expect(padded.isAborted).toBe(false)
    await poll.answer(page([event('6')], '6'))
    expect(padded.isAborted).toBe(true)
    expect(news()).toEqual(['open', 'json no-first-byte', 'message 6 #6'])
  })

  test('stays with the padded stream if it gets through, also after a reconnect', async () => {
    const { pass, next, requests, news } = await connectToFake()
    await next().respond()
    await pass(500)
    const padded = next()
    await padded.open()
    await pass(10_000)
    expect([requests.length, news()]).toEqual([0, ['open', 'event-stream no-first-byte']])
    await padded.end()
    await pass(1000)
    expect(next().query).toEqual({ padded: '1' })
  })

  test('return to the plain stream if the server refuses the parameters of the padded one', async () => {
    const { pass, next, requests, news } = await connectToFake()
    await next().respond()
    await pass(500)
    await next().answer('unknown parameter', 400, 'text/plain')
    const plain = next()
    expect(plain.query).toEqual({})
    await plain.respond()
    await pass(500)
    await next().answer('unknown parameter', 400, 'text/plain')
    await plain.write('data: 1\n\n')
    await pass(60_000)
    expect([requests.length, news()]).toEqual([0, ['open', 'event-stream undefined', 'message 1 #']])
  })

  test('close the connection if the plain stream is refused too', async () => {
    const { pass, next, requests, news } = await connectToFake()
    await next().respond()
    await pass(500)
    for (let round = 0; round < 2; round++) await next().answer('unknown', 401, 'text/plain')
    await pass(60_000)
    expect([requests.length, news()]).toEqual([0, ['error 2']])
  })
})

describe('bursts', () => {
  const burst = ':\n:\n'

  test('ask for padded heartbeats, and then fall back', async () => {
    const { pass, next, news } = await connectToFake()
    const plain = next()
    await plain.open()
    for (let i = 0; i < 3; i++) {
      await pass(30_000)
      await plain.write(burst)
    }
    expect(plain.isAborted).toBe(true)
    const padded = next()
    expect(padded.query).toEqual({ padded: '1', transport: 'event-stream', reason: 'bursts' })
    await padded.open()
    news()
    for (let i = 0; i < 3; i++) {
      await pass(30_000)
      await padded.write(burst)
    }
    const poll = next()
    expect([padded.isAborted, poll.isPoll]).toEqual([true, true])
    await poll.answer(page([event('1')], '1'))
    expect(news()).toEqual(['json bursts', 'message 1 #1'])
  })

  test('of events that were held are detected too', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let i = 0; i < 3; i++) {
      await pass(25_000)
      await stream.write('data: 1\n\n')
      await stream.write('data: 2\n\n')
    }
    expect(stream.isAborted).toBe(true)
  })

  test('do not count if events flowed between the stalls', async () => {
    const { pass, next, requests } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let stall = 0; stall < 5; stall++) {
      await pass(30_000)
      await stream.write('data: 1\n\ndata: 2\n\n')
      for (let second = 0; second < 10; second++) {
        await pass(1000)
        await stream.write('data: 3\n\n')
      }
    }
    expect([stream.isAborted, requests.length]).toEqual([false, 0])
  })

  test('that take seconds to arrive are detected', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let i = 0; i < 3; i++) {
      await pass(30_000)
      for (let second = 0; second < 3; second++) {
        await stream.write(burst)
        await pass(1000)
      }
    }
    expect(stream.isAborted).toBe(true)
  })

  test('do not count after a page that was frozen', async () => {
    const { pass, next, requests } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let i = 0; i < 5; i++) {
      await pass(15_000)
      await stream.write(':\n')
      vi.setSystemTime(Date.now() + 30_000)
      await stream.write(burst)
      await pass(4000)
    }
    expect([stream.isAborted, requests.length]).toEqual([false, 0])
  })

  test('of an application that reads now and then do not count', async () => {
    const { pass, next, source } = await connectToFake()
    const iterator = source[Symbol.asyncIterator]()
    const first = iterator.next()
    const stream = next()
    await stream.open()
    await stream.write('data: a\n\n')
    await first
    for (let i = 0; i < 5; i++) {
      await stream.write('data: a\n\n'.repeat(64))
      await pass(60_000)
      await stream.write('data: a\n\n'.repeat(2))
      for (let read = 0; read < 66; read++) await iterator.next()
    }
    expect(stream.isAborted).toBe(false)
  })

  test('of a network that stalls now and then do not count', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let i = 0; i < 6; i++) {
      await pass(30_000)
      await stream.write(burst)
      await pass(15_000)
      await stream.write(':\n')
    }
    expect(stream.isAborted).toBe(false)
  })

  test('of the application and of a replay do not count', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    for (let i = 0; i < 20; i++) {
      await stream.write('data: 1\n\ndata: 2\n\ndata: 3\n\n')
      await pass(15_000 + (i % 3) * 2000)
      await stream.write(':\n')
      await pass(14_000)
    }
    expect(stream.isAborted).toBe(false)
  })
})

describe('cuts', () => {
  test('of three young streams in a row fall back', async () => {
    const { pass, next, news } = await connectToFake()
    for (let i = 0; i < 3; i++) {
      const stream = next()
      await stream.open()
      await stream.cut()
      if (i < 2) await pass(1000)
    }
    news()
    await next().answer(page([event('1')], '1'))
    expect(news()).toEqual(['open', 'json cuts', 'message 1 #1'])
    expect(next().query).toMatchObject({ transport: 'json', reason: 'cuts' })
  })

  test.each([
    ['a clean end', async (stream: { end(): Promise<void> }) => stream.end()],
    [
      'an old stream',
      async (stream: { cut(): Promise<void> }, { pass }: Connection) => {
        await pass(5000)
        await stream.cut()
      },
    ],
  ])('are forgotten by %s', async (_, finish) => {
    const connection = await connectToFake()
    for (let i = 0; i < 9; i++) {
      const stream = connection.next()
      expect(stream.isPoll).toBe(false)
      await stream.open()
      if (i % 3 === 2) await finish(stream as never, connection)
      else await stream.cut()
      await connection.passUntilRequest()
    }
  })

  test('do not include connections that fail', async () => {
    const { passUntilRequest, next } = await connectToFake()
    for (let i = 0; i < 6; i++) {
      const stream = next()
      expect(stream.isPoll).toBe(false)
      if (i % 2) await stream.cut()
      else await stream.answer('', 502)
      await passUntilRequest()
    }
  })
})

describe('a silent stream', () => {
  test('is replaced after 2.5 heartbeats, and is resumed with the reason', async () => {
    const { pass, next, news, requests } = await connectToFake()
    const stream = next()
    await stream.open()
    await pass(15_000)
    await stream.write('id: 1\ndata: a\n\n')
    news()
    await pass(37_499)
    expect(requests).toEqual([])
    await pass(1)
    expect(stream.isAborted).toBe(true)
    const second = next()
    expect([second.query, second.headers.get('last-event-id')]).toEqual([
      { transport: 'event-stream', reason: 'silent' },
      '1',
    ])
    await second.open()
    expect(news()).toEqual(['error 0', 'open', 'event-stream silent'])
    await second.end()
    await pass(1000)
    expect(next().query).toEqual({})
  })

  test('is kept by heartbeats, of any interval that the server states', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open(': heartbeat 1000\n')
    for (let i = 0; i < 50; i++) {
      await pass(1000)
      await stream.write(':\n')
    }
    expect(stream.isAborted).toBe(false)
    await pass(3000)
    expect(stream.isAborted).toBe(true)
  })

  test.each([':\n', ': heartbeat 0\n', ': heartbeat soon\n', ': heartbeat 99999999999999\n'])(
    'is never replaced if the server states %j',
    async (text) => {
      const { pass, next } = await connectToFake()
      const stream = next()
      await stream.open(text)
      await pass(3_600_000)
      expect(stream.isAborted).toBe(false)
    },
  )

  test('that never sent more than its beginning is requested with padding, and then replaced by polls', async () => {
    const { pass, next, news } = await connectToFake()
    await next().open()
    await pass(37_500)
    const padded = next()
    expect(padded.query).toEqual({ padded: '1', transport: 'event-stream', reason: 'silent' })
    await padded.open()
    await pass(37_500)
    news()
    await next().answer(page([event('1')], '1'))
    expect(news()).toEqual(['open', 'json silent', 'message 1 #1'])
  })

  test('is not replaced if a page was frozen and heartbeats are waiting', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    await pass(15_000)
    await stream.write(':\n')
    vi.setSystemTime(Date.now() + 600_000)
    await pass(3750)
    await stream.write(':\n:\n:\n')
    await pass(14_000)
    expect(stream.isAborted).toBe(false)
  })

  test('of a page that was frozen is resumed without padding', async () => {
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    vi.setSystemTime(Date.now() + 600_000)
    await pass(7500)
    expect(stream.isAborted).toBe(true)
    expect(next().query).toEqual({ transport: 'event-stream', reason: 'silent' })
  })

  test('is not replaced while the application does not read', async () => {
    const { pass, next, source } = await connectToFake()
    const iterator = source[Symbol.asyncIterator]()
    const first = iterator.next()
    const stream = next()
    await stream.open()
    for (let i = 0; i <= 70; i++) await stream.write(`id: ${i}\ndata: ${i}\n\n`)
    await pass(600_000)
    expect(stream.isAborted).toBe(false)
    expect(await first).toMatchObject({ value: { id: '0' } })
    for (let i = 1; i <= 70; i++) expect(await iterator.next()).toMatchObject({ value: { id: String(i) } })
  })
})

describe('the return to a stream', () => {
  test('is a probe beside the polls, at increasing intervals', async () => {
    const connection = await connectToFake()
    const { poll } = await fallBack(connection)
    for (const delay of [30_000, 60_000, 120_000, 240_000, 480_000, 600_000, 600_000]) {
      const { requests, pass } = connection
      for (let passed = 0; passed < delay; passed += 10_000) {
        expect(requests.filter(({ isPoll }) => !isPoll)).toEqual([])
        // Keeps the polls going.
        await (requests.shift() ?? poll).answer(page([], '1'))
        await pass(10_000)
      }
      const probe = requests.find(({ isPoll }) => !isPoll)
      requests.splice(requests.indexOf(probe as never), 1)
      expect(probe?.query).toEqual({})
      await pass(2000)
      expect(probe?.isAborted).toBe(true)
    }
  })

  test('adopts the probe whose first byte arrives in time', async () => {
    const connection = await connectToFake()
    const { poll } = await fallBack(connection)
    const { pass, next, news, requests } = connection
    await poll.answer(page([], '1'))
    news()
    await pass(30_000)
    const second = next()
    const probe = next()
    expect([second.isPoll, probe.isPoll, probe.headers.get('last-event-id')]).toEqual([true, false, '1'])
    await probe.open()
    await probe.write('id: 2\ndata: b\n\n')
    expect([second.isAborted, probe.isAborted]).toEqual([true, false])
    expect(news()).toEqual(['event-stream retry', 'message b #2'])
    await probe.end()
    await pass(1000)
    expect(next().query).toEqual({ transport: 'event-stream', reason: 'retry' })
    expect(requests).toEqual([])
  })

  test('opens another stream if polls have delivered meanwhile, so that nothing arrives twice', async () => {
    const connection = await connectToFake()
    const { poll } = await fallBack(connection)
    const { pass, next, news } = connection
    await pass(30_000)
    const probe = next()
    await probe.respond()
    await poll.answer(page([event('2')], '2'))
    const third = next()
    await probe.write(': heartbeat 15000\nid: 2\ndata: 2\n\n')
    expect([probe.isAborted, third.isAborted]).toEqual([true, true])
    const stream = next()
    expect([stream.isPoll, stream.headers.get('last-event-id')]).toEqual([false, '2'])
    await stream.open()
    await stream.write('id: 3\ndata: 3\n\n')
    expect(news().slice(2)).toEqual(['message 1 #1', 'message 2 #2', 'event-stream retry', 'message 3 #3'])
  })

  test('does not count a probe whose first byte is late', async () => {
    const connection = await connectToFake()
    await fallBack(connection)
    const { pass, next, news } = connection
    news()
    await pass(30_000)
    const probe = next()
    await probe.respond()
    await pass(500)
    expect([probe.isAborted, news()]).toEqual([true, []])
  })
})

describe('the chosen transport', () => {
  test('is remembered for the session, by origin and path', async () => {
    const first = await connectToFake({ path: '/remembered?a=1' })
    await fallBack(first)
    first.source.close()
    const { next, news } = await connectToFake({ path: '/remembered?a=2' })
    const poll = next()
    expect(poll.query).toEqual({ a: '2', format: 'json' })
    await poll.answer(page([event('5')], '5'))
    expect(news()).toEqual(['open', 'json no-headers', 'message 5 #5'])
    const other = await connectToFake()
    expect(other.next().isPoll).toBe(false)
  })

  test('is remembered for each method, because a POST is not repeated as a GET is', async () => {
    const first = await connectToFake({ path: '/methods' })
    await fallBack(first)
    first.source.close()
    const post = await connectToFake({ path: '/methods', method: 'POST' })
    expect(post.next().isPoll).toBe(false)
  })

  test('is not remembered in another epoch of ids', async () => {
    const first = await connectToFake({ path: '/epochs' })
    await fallBack(first, '2026-a1b2c3-7')
    first.source.close()
    const { next, news } = await connectToFake({ path: '/epochs' })
    await next().answer(page([event('2026-d4e5f6-1')], '2026-d4e5f6-1'))
    const requests = [next(), next()]
    const probe = requests.find(({ isPoll }) => !isPoll)
    await probe?.open()
    expect(news().at(-1)).toBe('event-stream retry')
  })

  test('is kept by ids that are times, as those of Redis are', async () => {
    const connection = await connectToFake()
    const { poll } = await fallBack(connection, '1700000000000-0')
    await poll.answer(page([event('1700000000001-0')], '1700000000001-0'))
    expect(connection.next().isPoll).toBe(true)
    expect(connection.requests).toEqual([])
  })

  test('is tried again after a gap', async () => {
    const connection = await connectToFake()
    const { poll } = await fallBack(connection, '1700000000000-0')
    await poll.answer(page([{ event: 'gap', id: '1800000000000-0', data: {} }], '1800000000000-0'))
    expect(connection.requests.map(({ isPoll }) => isPoll).sort()).toEqual([false, true])
  })
})

describe('a POST that begins with a poll', () => {
  /** Returns a connection whose transport is remembered from an earlier one, which could resume. */
  async function startPost(path: string) {
    const first = await connectToFake({ path, method: 'POST', lastEventId: '1' })
    await fallBack(first)
    first.source.close()
    const connection = await connectToFake({ path, method: 'POST' })
    const poll = connection.next()
    expect([poll.isPoll, poll.init.method]).toEqual([true, 'POST'])
    return { ...connection, poll }
  }

  test('ends with a page without an id', async () => {
    const { poll, pass, news, requests, source } = await startPost('/post-without-ids')
    await poll.answer(page([{ event: 'message', data: 'a' }]))
    expect([news(), source.readyState]).toEqual([
      ['open', 'json no-headers', 'message a #', 'error 2'],
      source.CLOSED,
    ])
    await pass(100_000)
    expect([requests, vi.getTimerCount()]).toEqual([[], 0])
  })

  test('ends with a page that resets the id', async () => {
    const { poll, pass, next, requests, source } = await startPost('/post-without-an-id-later')
    await poll.answer(page([event('2')], '2'))
    await next().answer(page([event('')], ''))
    expect(source.readyState).toBe(source.CLOSED)
    await pass(100_000)
    expect(requests).toEqual([])
  })

  test('sends no probe until an id is received', async () => {
    const { poll, pass, requests, next } = await startPost('/post-with-ids')
    await pass(50_000)
    expect(requests).toEqual([])
    await poll.answer(page([event('2')], '2'))
    expect(next().query).toEqual({ format: 'json', lastEventId: '2' })
    await pass(30_000)
    const probe = next()
    expect([probe.isPoll, probe.headers.get('last-event-id')]).toEqual([false, '2'])
  })

  test('sends no probe after a gap without an id', async () => {
    const { poll, pass, requests, source } = await startPost('/post-with-a-gap')
    await poll.answer(page([{ event: 'gap', data: {} }]))
    await pass(100_000)
    expect([requests, source.readyState]).toEqual([[], source.CLOSED])
  })

  test('is not repeated as a stream if the response is not a page', async () => {
    const { poll, pass, errors, requests, source } = await startPost('/post-without-a-poll')
    await poll.answer('data: a\n\n', 200, 'text/event-stream')
    expect([errors, source.readyState]).toEqual([
      [expect.objectContaining({ code: 'ERR_SSE_FORMAT' })],
      source.CLOSED,
    ])
    await pass(100_000)
    expect(requests).toEqual([])
  })
})

describe('a listener that closes the connection leaves no timer', () => {
  test('when a poll has won against a stream', async () => {
    const { pass, next, source } = await connectToFake()
    source.addEventListener('transport', () => source.close())
    await pass(1500)
    next()
    await next().answer(page([event('1')], '1'))
    expect([source.readyState, vi.getTimerCount()]).toEqual([source.CLOSED, 0])
  })

  test('when a stream is silent', async () => {
    const { pass, next, requests, source } = await connectToFake()
    source.addEventListener('error', () => source.close())
    await next().open()
    await pass(37_500)
    expect([source.readyState, vi.getTimerCount(), requests.length]).toEqual([source.CLOSED, 0, 0])
  })
})

describe('exactly once', () => {
  test('a poll that arrives while the stream responds is discarded', async () => {
    const { pass, next, news } = await connectToFake()
    const stream = next()
    await pass(1500)
    const poll = next()
    await stream.respond()
    await Promise.all([
      stream.write(': heartbeat 15000\nid: 1\ndata: a\n\n'),
      poll.answer(page([event('1', 'a')], '1')),
    ])
    await settled()
    expect(news().filter((each) => each.startsWith('message'))).toEqual(['message a #1'])
  })
})

test.each([
  ['letters', 'a'.repeat(2000)],
  ['digits', `a-${'1'.repeat(100_000)}x`],
  ['dashes', `a${'-'.repeat(100_000)}x`],
  ['pairs of a dash and a digit', `a${'-1'.repeat(50_000)}-`],
])('the epoch of an id of many %s is read in linear time', (_name, id) => {
  const start = performance.now()
  expect(new Fallback().isNewEpoch(id)).toBe(false)
  expect(performance.now() - start).toBeLessThan(1000)
})
