import { PassThrough } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { EventsClient } from '../../src/testing/events-client.ts'
import { WaitError } from '../../src/testing/wait-error.ts'
import { timersLeftBy } from '../support/timers.ts'

// Beyond that of a test: what fails, fails for another reason.
const TIMEOUT = 60_000

/** A client whose body a test writes. */
function clientOf(text = '', { timeout = TIMEOUT, contentType = 'text/event-stream' } = {}) {
  const body = new PassThrough()
  const leave = vi.fn(async () => void body.destroy())
  const headers = new Headers(contentType === '' ? {} : { 'Content-Type': contentType })
  const client = new EventsClient({ status: 200, headers, body, close: leave }, '', timeout)
  client.resume()
  body.write(text)
  onTestFinished(() => client.close())
  return { client, body, leave }
}

const dataOf = (events: readonly { data: string }[]) => events.map(({ data }) => data)

/** What a wait fails with. */
async function failureOf(wait: Promise<unknown>): Promise<WaitError> {
  const failure = await wait.then(
    (value) => `came all the same: ${JSON.stringify(value)}`,
    (error: unknown) => error,
  )
  expect(failure).toBeInstanceOf(WaitError)
  return failure as WaitError
}

describe('EventsClient', () => {
  it('hands out events one by one, also those that came before they were asked for', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    await client.take(2)
    body.write('data: c\n\n')
    expect(await client.next()).toEqual({ event: 'message', data: 'c', id: '' })
    expect(dataOf(client.events)).toEqual(['a', 'b', 'c'])
  })

  it('passes over those before the one that is wanted', async () => {
    const { client } = clientOf('event: a\ndata: 1\n\nevent: b\ndata: 2\n\nevent: a\ndata: 3\n\ndata: 4\n\n')
    expect(await client.next('b')).toMatchObject({ data: '2' })
    expect(await client.next(({ data }) => Number(data) > 2)).toMatchObject({ data: '3' })
    expect(await client.next()).toMatchObject({ data: '4' })
  })

  it('asks a condition about each event once', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    const isWanted = vi.fn(({ data }: { data: string }) => data === 'd')
    const next = client.next(isWanted)
    for (const data of ['c', 'd', 'e']) body.write(`data: ${data}\n\n`)
    await next
    expect(dataOf(isWanted.mock.calls.flat())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('hands out each event once, in order, to all who wait', async () => {
    const { client, body } = clientOf()
    const waits = [client.next(), client.take(2), client.next()]
    body.write('data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n')
    expect(dataOf((await Promise.all(waits)).flat())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('hands out what came before the end, and then fails at once', async () => {
    const { client, body } = clientOf('data: a\n\n')
    body.end('data: b\n\n')
    await client.ended()
    expect(dataOf(await client.take(2))).toEqual(['a', 'b'])
    expect((await failureOf(client.next())).message).toMatch(/^No event before the stream ended: /)
  })

  it('leaves what came where it was when it fails', async () => {
    const { client } = clientOf('data: a\n\ndata: b\n\n')
    await failureOf(client.next('other', { timeout: 20 }))
    await failureOf(client.take(3, { timeout: 20 }))
    expect(dataOf(await client.take(2))).toEqual(['a', 'b'])
  })

  it('hands out comments in an order of their own', async () => {
    const { client, body } = clientOf(': a\ndata\n\n')
    const [first, second] = [client.comment(), client.comment()]
    body.write(':\n')
    expect(await Promise.all([first, second])).toEqual(['a', ''])
    expect(client.comments).toEqual(['a', ''])
    await client.next()
  })

  it('takes the empty comment that a stream opens with for no heartbeat, and any other for one', async () => {
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

  it('takes an empty comment for a heartbeat that comes after an id alone', async () => {
    const { client } = clientOf('id: 1\n\n:\n')
    expect(await client.comment()).toBe('')
  })

  it('knows when to come back, and with which id', async () => {
    const { client, body } = clientOf('retry: 30\nid: 1\ndata\n\n')
    await client.next()
    expect([client.lastEventId, client.retry]).toEqual(['1', 30])
    body.end('id: 2\n\n')
    await client.ended()
    expect(client.lastEventId).toBe('2')
  })

  it('is read to its end by a loop', async () => {
    const { client, body } = clientOf('data: a\n\n')
    const read: string[] = []
    for await (const { data } of client) {
      read.push(data)
      if (data === 'a') body.end('data: b\n\n')
    }
    expect(read).toEqual(['a', 'b'])
  })

  it('goes on after a loop that was left, and with another', async () => {
    const { client, body } = clientOf('data: a\n\ndata: b\n\n')
    for await (const { data } of client) if (data === 'a') break
    expect(await client.next()).toMatchObject({ data: 'b' })
    body.end('data: c\n\n')
    for await (const { data } of client) expect(data).toBe('c')
    expect(client.events).toHaveLength(3)
  })

  it('ends a loop by closing, and fails it when the stream is cut or silent', async () => {
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

  it('fails those who wait when it is closed', async () => {
    const { client, leave } = clientOf()
    const waits = [client.next('a'), client.take(2), client.comment()]
    await Promise.all([client.close(), client.close()])
    for (const wait of waits) expect((await failureOf(wait)).message).toMatch(/before the client was closed/)
    expect(await client.ended()).toBe('closed')
    expect(leave).toHaveBeenCalledTimes(1)
  })

  it('says what it waited for and shows what came, the last of it', async () => {
    const events = Array.from({ length: 12 }, (_, i) => `event: tick\nid: ${i}\ndata: ${i}\n\n`)
    const { client } = clientOf(`: a\n${events.join('')}data: ${'x'.repeat(200)}\n\n`)
    const { message } = await failureOf(client.next('tack', { timeout: 20 }))
    expect(message.split('\n')).toEqual([
      'No event "tack" within 20 ms: status 200, text/event-stream. 13 events and 1 comment came:',
      '  … 3 more',
      ...[3, 4, 5, 6, 7, 8, 9, 10, 11].map((i) => `  tick "${i}" (id "${i}")`),
      `  message "${'x'.repeat(100)}…" (id "11")`,
    ])
  })

  it.each<[string, string, (client: EventsClient) => Promise<unknown>, string]>([
    [
      'nothing',
      '',
      (client) => client.take(2),
      'No 2 events within 20 ms: status 200, text/event-stream. Nothing came.',
    ],
    [
      'no event stream',
      '<html>\n',
      (client) => client.ended(),
      'No end within 20 ms: status 200, text/event-stream. 0 events and 0 comments came. The body began: "<html>\\n"',
    ],
    [
      'a condition',
      ':a\n',
      (client) => client.next(() => false),
      'No event that is wanted within 20 ms: status 200, text/event-stream. 0 events and 1 comment came. The body began: ":a\\n"',
    ],
  ])('says so when there is %s', async (_, text, wait, expected) => {
    const { client } = clientOf(text, { timeout: 20 })
    expect((await failureOf(wait(client))).message).toBe(expected)
  })

  it('says that there is no content type, and that it is paused', async () => {
    const { client } = clientOf('', { timeout: 20, contentType: '' })
    client.pause()
    expect((await failureOf(client.next())).message).toBe(
      'No event within 20 ms: status 200, no content type. The client is paused. Nothing came.',
    )
  })

  it('keeps its limits while timers are faked', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { client } = clientOf('', { timeout: 20 })
    await failureOf(client.next())
  })

  it('waits for what it closes no longer than for anything else', async () => {
    const close = () => new Promise<void>(() => {})
    const answer = { status: 200, headers: new Headers(), body: new PassThrough(), close }
    const client = new EventsClient(answer, '', 20)
    expect((await failureOf(client.close())).message).toMatch(/^Not closed within 20 ms/)
  })

  it('refuses a limit and a count that are none', async () => {
    const { client } = clientOf('data: a\n\ndata: b\n\n')
    for (const timeout of [Number.POSITIVE_INFINITY, 2 ** 31, Number.NaN, 0, -1])
      await expect(client.next('none', { timeout })).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
    await client.next()
    for (const count of [-1, Number.NaN, 0.5])
      await expect(client.take(count)).rejects.toMatchObject({ code: 'ERR_SSE_OPTION' })
    const swapped = client.next({ timeout: 5 } as never)
    await expect(swapped).rejects.toThrow('Option wanted must be a name or a condition')
    expect(await client.next()).toMatchObject({ data: 'b' })
  })

  it('learns of a body that was cut before', async () => {
    const body = new PassThrough()
    body.destroy()
    await new Promise((resolve) => body.once('close', resolve))
    const answer = { status: 200, headers: new Headers(), body, close: async () => {} }
    expect(await new EventsClient(answer, '', TIMEOUT).ended()).toBe('cut')
  })

  it('leaves no timer behind', async () => {
    const left = await timersLeftBy(async () => {
      const { client } = clientOf('data: a\n\ndata: b\n\n')
      await client.next()
      const failing = client.next(() => {
        throw new RangeError('of the test')
      })
      await expect(failing).rejects.toThrow(RangeError)
    })
    expect(left).toBe(0)
  })
})
