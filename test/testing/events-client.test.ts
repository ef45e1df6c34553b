import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { EventsClient } from '../../src/testing/events-client.ts'
import { ReceivedStream } from '../../src/testing/received.ts'
import { WaitError } from '../../src/testing/wait-error.ts'
import { valuesOf } from '../support/process-errors.ts'
import { settled } from '../support/streams.ts'
import { countTimersOf } from '../support/timers.ts'

// Longer than the timeout of a test, so that a client never times out by default.
const TIMEOUT = 60_000

/** Creates a client whose body is written by the test. */
function clientOf(text = '', { timeout = TIMEOUT, contentType = 'text/event-stream' } = {}) {
  const body = new PassThrough()
  const close = vi.fn(async () => void body.destroy())
  const headers = new Headers(contentType === '' ? {} : { 'Content-Type': contentType })
  const client = new EventsClient({ status: 200, headers, body, close }, new ReceivedStream(''), timeout)
  client.resume()
  body.write(text)
  onTestFinished(() => client.close())
  return { client, body, close }
}

const dataOf = (events: readonly { data: string }[]) => events.map(({ data }) => data)

/** Returns the error that a wait rejects with. */
async function failureOf(wait: Promise<unknown>): Promise<WaitError> {
  const failure = await wait.then(
    (value) => `resolved with ${JSON.stringify(value)}`,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(WaitError)
  return failure as WaitError
}

describe('EventsClient', () => {
  it('returns events one by one, including those received before next() is called', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    await client.take(2)
    body.write('data: c\n\n')
    expect(await client.next()).toEqual({ event: 'message', data: 'c', id: '' })
    expect(dataOf(client.events)).toEqual(['a', 'b', 'c'])
  })

  it('skips the events before the one that matches', async () => {
    const { client } = clientOf('event: a\ndata: 1\n\nevent: b\ndata: 2\n\nevent: a\ndata: 3\n\ndata: 4\n\n')
    expect(await client.next('b')).toMatchObject({ data: '2' })
    expect(await client.next(({ data }) => Number(data) > 2)).toMatchObject({ data: '3' })
    expect(await client.next()).toMatchObject({ data: '4' })
  })

  it('calls a matcher function once per event', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    const matcher = vi.fn(({ data }: { data: string }) => data === 'd')
    const next = client.next(matcher)
    for (const data of ['c', 'd', 'e']) body.write(`data: ${data}\n\n`)
    await next
    expect(dataOf(matcher.mock.calls.flat())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('returns each event once, in order, to concurrent waits', async () => {
    const { client, body } = clientOf()
    const waits = [client.next(), client.take(2), client.next()]
    body.write('data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n')
    expect(dataOf((await Promise.all(waits)).flat())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('returns the events before the end and then rejects immediately', async () => {
    const { client, body } = clientOf('data: a\n\n')
    body.end('data: b\n\n')
    await client.ended()
    expect(dataOf(await client.take(2))).toEqual(['a', 'b'])
    expect((await failureOf(client.next())).message).toMatch(/^No event before the stream ended: /)
  })

  it('keeps the received events when a wait times out', async () => {
    const { client } = clientOf('data: a\n\ndata: b\n\n')
    await failureOf(client.next('other', { timeout: 20 }))
    await failureOf(client.take(3, { timeout: 20 }))
    expect(dataOf(await client.take(2))).toEqual(['a', 'b'])
  })

  it('returns comments independently of events', async () => {
    const { client, body } = clientOf(': a\ndata\n\n')
    const [first, second] = [client.comment(), client.comment()]
    body.write(':\n')
    expect(await Promise.all([first, second])).toEqual(['a', ''])
    expect(client.comments).toEqual(['a', ''])
    await client.next()
  })

  it('does not count the empty comment at the start of a stream as a heartbeat', async () => {
    const { client, body } = clientOf(':\nretry: 30\n')
    expect((await failureOf(client.comment({ timeout: 20 }))).message).toMatch(/^No comment within 20 ms/)
    body.write(':\n')
    expect(await client.comment()).toBe('')
    for (const before of ['data\n\n', 'retry: 1\n', ': hello\n']) {
      const { client } = clientOf(`${before}:\n`)
      await client.comment()
      expect(client.comments.at(-1)).toBe('')
    }
  })

  it('counts an empty comment after a block with only an id as a heartbeat', async () => {
    const { client } = clientOf('id: 1\n\n:\n')
    expect(await client.comment()).toBe('')
  })

  it('reports the last reconnection time and the last event id', async () => {
    const { client, body } = clientOf('retry: 30\nid: 1\ndata\n\n')
    await client.next()
    expect([client.lastEventId, client.retry]).toEqual(['1', 30])
    body.end('id: 2\n\n')
    await client.ended()
    expect(client.lastEventId).toBe('2')
  })

  it('yields events to a loop until the stream ends', async () => {
    const { client, body } = clientOf('data: a\n\n')
    const read: string[] = []
    for await (const { data } of client) {
      read.push(data)
      if (data === 'a') body.end('data: b\n\n')
    }
    expect(read).toEqual(['a', 'b'])
  })

  it('continues after a loop was left by break', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    for await (const { data } of client) if (data === 'a') break
    expect(await client.next()).toMatchObject({ data: 'b' })
    body.end('data: c\n\n')
    for await (const { data } of client) expect(data).toBe('c')
    expect(client.events).toHaveLength(3)
  })

  it('ends a loop when the client is closed, and throws in it when the connection is cut or silent', async () => {
    const loopOver = async (client: EventsClient, onEvent = () => {}) => {
      for await (const _ of client) onEvent()
    }
    const closing = clientOf('data: a\n\n')
    await loopOver(closing.client, () => void closing.client.close())
    const cut = clientOf('data: a\n\n')
    const error = await failureOf(loopOver(cut.client, () => cut.body.destroy()))
    expect(error.message).toMatch(/^No event before the connection was cut: /)
    expect(error.events).toHaveLength(1)
    const silent = clientOf('', { timeout: 20 })
    expect((await failureOf(loopOver(silent.client))).message).toMatch(/^No event within 20 ms/)
  })

  it('rejects all pending waits when it is closed', async () => {
    const { client, close } = clientOf()
    const waits = [client.next('a'), client.take(2), client.comment()]
    await Promise.all([client.close(), client.close()])
    for (const wait of waits) expect((await failureOf(wait)).message).toMatch(/before the client was closed/)
    expect(await client.ended()).toBe('closed')
    expect(close).toHaveBeenCalledTimes(1)
  })

  it('names the expected event and lists the last ten received events in the error', async () => {
    const events = Array.from({ length: 12 }, (_, i) => `event: tick\nid: ${i}\ndata: ${i}\n\n`)
    const { client } = clientOf(`: a\n${events.join('')}data: ${'x'.repeat(200)}\n\n`)
    const { message } = await failureOf(client.next('tack', { timeout: 20 }))
    expect(message.split('\n')).toEqual([
      'No event "tack" within 20 ms: status 200, text/event-stream. Received 13 events and 1 comment:',
      '  … 3 more',
      ...[3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => `  tick "${i}" (id "${i}")`),
      `  message "${'x'.repeat(100)}…" (id "11")`,
    ])
  })

  it.each<[string, string, (client: EventsClient) => Promise<unknown>, string]>([
    [
      'an empty body',
      '',
      (client) => client.take(2),
      'No 2 events within 20 ms: status 200, text/event-stream. Nothing was received.',
    ],
    [
      'a body that is not an event stream',
      '<html>\n',
      (client) => client.ended(),
      'No end within 20 ms: status 200, text/event-stream. Received 0 events and 0 comments. The body starts with "<html>\\n"',
    ],
    [
      'a matcher function that never matches',
      ':a\n',
      (client) => client.next(() => false),
      'No matching event within 20 ms: status 200, text/event-stream. Received 0 events and 1 comment. The body starts with ":a\\n"',
    ],
  ])('describes %s in the error', async (_, text, wait, expected) => {
    const { client } = clientOf(text, { timeout: 20 })
    expect((await failureOf(wait(client))).message).toBe(expected)
  })

  it('reports a missing content type and a paused client in the error', async () => {
    const { client } = clientOf('', { timeout: 20, contentType: '' })
    client.pause()
    expect((await failureOf(client.next())).message).toBe(
      'No event within 20 ms: status 200, no content type. The client is paused. Nothing was received.',
    )
  })

  it('times out while timers are faked', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { client } = clientOf('', { timeout: 20 })
    await failureOf(client.next())
  })

  it('rejects close() after the timeout when the response never closes', async () => {
    const close = () => new Promise<void>(() => {})
    const response = { status: 200, headers: new Headers(), body: new PassThrough(), close }
    const client = new EventsClient(response, new ReceivedStream(''), 20)
    expect((await failureOf(client.close())).message).toMatch(/^Not closed within 20 ms/)
  })

  it('rejects an invalid timeout, count and matcher', async () => {
    const { client } = clientOf('data: a\n\ndata: b\n\n')
    for (const timeout of [Number.POSITIVE_INFINITY, 2 ** 31, Number.NaN, 0, -1])
      await expect(client.next('none', { timeout })).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
    await client.next()
    for (const count of [-1, Number.NaN, 0.5])
      await expect(client.take(count)).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
    const swapped = client.next({ timeout: 5 } as never)
    await expect(swapped).rejects.toThrow('Option matcher must be an event name or a function')
    expect(await client.next()).toMatchObject({ data: 'b' })
  })

  it.each<[string, () => unknown]>([
    ['true later', async () => true],
    ['false later', async () => false],
    ['a promise that rejects', async () => Promise.reject(new Error('no database'))],
    ['a match', () => ['a']],
    ['nothing', () => undefined],
  ])('rejects a matcher function that returns %s', async (_, matcher) => {
    const unhandled = valuesOf('unhandledRejection')
    const { client } = clientOf('data: a\n\n')
    await expect(client.next(matcher as never)).rejects.toMatchObject({
      code: 'ERR_SSE_OPTION',
      message: expect.stringMatching(/^A matcher must synchronously return true or false, not /),
    })
    await settled()
    expect(unhandled).toEqual([])
    expect(await client.next()).toMatchObject({ data: 'a' })
  })

  it('rejects a missing count, and keeps the events', async () => {
    const { client } = clientOf('data: a\n\n')
    await expect(client.take(undefined as never)).rejects.toMatchObject({
      code: 'ERR_SSE_OPTION',
      message: expect.stringMatching(/^Option count must be a whole number from 0 to \d+, not undefined\.$/),
    })
    expect(dataOf(await client.take(1))).toEqual(['a'])
  })

  it('reports a body that was cut before the client was created', async () => {
    const body = new PassThrough()
    body.destroy()
    await new Promise((resolve) => body.once('close', resolve))
    const response = { status: 200, headers: new Headers(), body, close: async () => {} }
    expect(await new EventsClient(response, new ReceivedStream(''), TIMEOUT).ended()).toBe('cut')
  })

  it('clears its timers', async () => {
    const left = await countTimersOf(async () => {
      const { client } = clientOf('data: a\n\ndata: b\n\n')
      await client.next()
      const failing = client.next(() => {
        throw new RangeError('thrown by the matcher')
      })
      await expect(failing).rejects.toThrow(RangeError)
    })
    expect(left).toBe(0)
  })
})
