import { createServer } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { encode } from '../../src/formats/event-stream.ts'
import { type EventStreamBody, type ParseOptions, parseEvents } from '../../src/formats/parse-events.ts'
import { parseEvents as parseBody } from '../support/parse.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Returns all events of a body, without the fields that they do not have. */
async function read(body: EventStreamBody, options?: ParseOptions) {
  const events: object[] = []
  for await (const event of parseEvents(body, options)) events.push(JSON.parse(JSON.stringify(event)))
  return events
}

const readText = (...chunks: string[]) => read(chunks.map(bytesOf))

const response = (
  body: ConstructorParameters<typeof Response>[0],
  status = 200,
  type = 'text/event-stream; charset=utf-8',
) => new Response(body, { status, headers: { 'Content-Type': type } })

const BODY = 'id: 1\nevent: greeting\ndata: hello\n\ndata: [DONE]\n\n'
const EVENTS = [{ id: '1', event: 'greeting', data: 'hello' }, { data: '[DONE]' }]

describe('parseEvents', () => {
  it.each<[string, () => EventStreamBody]>([
    ['a Response', () => response(BODY)],
    ['the body of a Response', () => response(BODY).body as ReadableStream<Uint8Array>],
    ['a web stream of text', () => ReadableStream.from([BODY])],
    ['a Node stream of bytes', () => Readable.from([Buffer.from(BODY)])],
    ['a Node stream of text', () => Readable.from([BODY])],
    ['an async iterable of text', () => Readable.from([BODY]).iterator()],
    ['an array of bytes', () => [bytesOf(BODY)]],
    [
      'a response of undici',
      () => ({ statusCode: 200, headers: { 'content-type': 'text/event-stream' }, body: [BODY] }),
    ],
  ])('reads the events of %s', async (_name, body) => {
    expect(await read(body())).toEqual(EVENTS)
  })

  it('reads no event of a Response without a body', async () => {
    expect(await read(response(null))).toEqual([])
  })

  it('keeps no id from one event to the next', async () => {
    expect(await readText('id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n')).toEqual([
      { id: '1', data: 'a' },
      { data: 'b' },
      { id: '', data: 'c' },
    ])
  })

  it('ignores an id with NUL, comments, unknown fields, blocks without data and an incomplete event', async () => {
    const body = 'id: 1\0\n: comment\nother: 1\ndata: a\n\n:\n\nid: 2\n\nevent: b\n\ndata: c'
    expect(await readText(body)).toEqual([{ data: 'a' }])
  })

  it('reads a new reconnection time as an event of its own, unless it is not a time', async () => {
    const body = 'retry: 1000\n\nretry: 20\ndata: a\n\nretry: -1\nretry: 1e3\nretry: 99999999999999999999\n\n'
    expect(await readText(body)).toEqual([{ retry: 1000 }, { retry: 20 }, { data: 'a' }])
  })

  it('joins lines that end with CR, LF or CRLF, and removes one space', async () => {
    expect(await readText('data: a\rdata:b\r\ndata:  c\n\r\n')).toEqual([{ data: 'a\nb\n c' }])
  })

  it('completes an event at a CR, before the next chunk', async () => {
    const source = new PassThrough()
    const events = parseEvents(source)
    source.write('data: a\r\r')
    expect(await events.next()).toMatchObject({ value: { data: 'a' } })
    source.end('\ndata: b\r\n\r\n')
    expect(await events.next()).toMatchObject({ value: { data: 'b' } })
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('removes one BOM, wherever the chunks are split', async () => {
    const body = bytesOf('\uFEFFdata: a\n\n\uFEFFdata: b\n\n')
    for (let at = 0; at < body.length; at++) {
      expect(await read([body.subarray(0, at), body.subarray(at)])).toEqual([{ data: 'a' }])
    }
    expect(await readText('\uFEFF\uFEFFdata: a\n\n')).toEqual([])
  })

  it('reads the same events as eventsource-parser wherever the chunks are split', async () => {
    const line = fc
      .tuple(
        fc.constantFrom('data', 'event', 'id', '', 'other'),
        fc.constantFrom('', ':', ': '),
        fc.string({ unit: fc.constantFrom('a', ' ', ':', '\0', 'é', '🦆', '\uFEFF') }),
        fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\n\r\n'),
      )
      .map((parts) => parts.join(''))
    const body = fc.array(line, { maxLength: 20 }).map((lines) => `${lines.join('')}:\n`)
    await fc.assert(
      fc.asyncProperty(body, fc.array(fc.nat(), { maxLength: 20 }), async (text, cuts) => {
        const bytes = bytesOf(text)
        const ends = cuts.map((at) => at % bytes.length).sort((a, b) => a - b)
        const chunks = [0, ...ends].map((start, i) => bytes.subarray(start, ends[i] ?? bytes.length))
        const expected: EventSourceMessage[] = []
        createParser({ onEvent: (event) => expected.push(event) }).feed(text.replace(/^\uFEFF/, ''))
        expect(await read(chunks)).toEqual(JSON.parse(JSON.stringify(expected)))
      }),
    )
  })

  it('is a source for sendAll that sends the events on unchanged', async () => {
    const { stream, transport } = fakeStream()
    const body = `${BODY}retry: 7000\nid: 2\nevent: é\ndata: 🦆\ndata:\n\n`
    expect(await stream.sendAll(parseEvents(response(body)))).toBe(true)
    await nextTurn()
    const sent = transport.writes.join('')
    expect(parseBody(sent)).toEqual(parseBody(body))
    expect(sent).toContain('retry: 7000\n')
  })

  it('does not read the upstream while the client reads nothing', async () => {
    const { stream, transport } = fakeStream()
    let chunks = 0
    const upstream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(bytesOf(encode({ id: chunks++, data: 'x'.repeat(1000) }))),
    })
    transport.isFull = true
    void stream.sendAll(parseEvents(upstream))
    await settled()
    const before = chunks
    await settled()
    expect(chunks).toBe(before)
    expect(before).toBeLessThan(50)
    transport.drain()
    await settled()
    expect(chunks).toBeGreaterThan(before)
  })
})

describe('the upstream of parseEvents', () => {
  /** Returns an upstream whose read never ends, and whether it is closed. */
  const pending: ReadonlyArray<[string, () => { body: EventStreamBody; isClosed: () => boolean }]> = [
    [
      'a Response',
      () => {
        let isClosed = false
        const cancel = () => {
          isClosed = true
        }
        return { body: response(new ReadableStream({ cancel }) as never), isClosed: () => isClosed }
      },
    ],
    [
      'a Node stream',
      () => {
        const body = new PassThrough()
        return { body, isClosed: () => body.destroyed }
      },
    ],
    [
      'an async iterable',
      () => {
        let isClosed = false
        const iterator: AsyncIterator<Uint8Array> = {
          next: () => new Promise(() => {}),
          return: async () => {
            isClosed = true
            return { done: true, value: undefined }
          },
        }
        return { body: { [Symbol.asyncIterator]: () => iterator }, isClosed: () => isClosed }
      },
    ],
  ]

  it.each(pending)(
    'is closed when the client disconnects during a pending read of %s (rule 34)',
    async (_, create) => {
      const { body, isClosed } = create()
      const { stream, transport } = fakeStream()
      const all = stream.sendAll(parseEvents(body))
      await settled()
      expect(isClosed()).toBe(false)
      transport.lose()
      expect(await all).toBe(false)
      await settled()
      expect(isClosed()).toBe(true)
    },
  )

  it.each(pending)(
    'is closed without a read when the client has already disconnected: %s',
    async (_, create) => {
      const { body, isClosed } = create()
      const { stream } = fakeStream()
      stream.destroy()
      expect(await stream.sendAll(parseEvents(body))).toBe(false)
      await settled()
      expect(isClosed()).toBe(true)
    },
  )

  it('is closed when the loop over its events is left', async () => {
    const body = new PassThrough()
    body.write(BODY)
    for await (const _ of parseEvents(body)) break
    await settled()
    expect(body.destroyed).toBe(true)
  })

  it('rejects the source with its error', async () => {
    const failure = new Error('cut')
    const body = new PassThrough()
    body.write(BODY)
    const events = parseEvents(body)
    await events.next()
    await events.next()
    body.destroy(failure)
    await expect(events.next()).rejects.toBe(failure)
  })
})

describe('an event that is too long', () => {
  const options = { maxEventLength: 100 }
  const long = (length: number) => `data: ${'é'.repeat(length)}`

  it.each([1, 7, 1000])('is read with data of maxEventLength, in chunks of %d characters', async (size) => {
    const text = `data: first\n\n${long(100)}\n\n`
    const chunks = text.match(new RegExp(`[^]{1,${size}}`, 'g')) as string[]
    expect(await read(chunks, options)).toEqual([{ data: 'first' }, { data: 'é'.repeat(100) }])
  })

  it.each([
    ['in one line', long(101)],
    ['in several lines', `${long(60)}\n${long(40)}`],
    ['in lines without data', 'data\n'.repeat(102)],
    ['without an end', `${long(5000)}`],
    ['in a line of another field', `event: ${'x'.repeat(5000)}`],
  ])(
    'rejects with ERR_SSE_UPSTREAM after the events before it, and closes the upstream: %s',
    async (_, text) => {
      for (const size of [1, 7]) {
        const body = new PassThrough({ objectMode: true }) // does not join chunks
        const events = parseEvents(body, options)
        body.write('data: first\n\n')
        expect(await events.next()).toMatchObject({ value: { data: 'first' } })
        for (const chunk of `${text}\n\n`.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []) body.write(chunk)
        await expect(events.next()).rejects.toThrow(code('ERR_SSE_UPSTREAM'))
        await settled()
        expect(body.destroyed).toBe(true)
      }
    },
  )

  it('rejects when it arrives whole, after the events before it in the same chunk', async () => {
    const events = parseEvents([`data: first\n\n${long(101)}\n\ndata: later\n\n`], options)
    expect(await events.next()).toMatchObject({ value: { data: 'first' } })
    await expect(events.next()).rejects.toThrow('more than 100 characters')
    expect(await events.next()).toEqual({ done: true, value: undefined })
  })

  it('has more than 1 MiB by default', async () => {
    const chunks = Array.from({ length: 17 }, () => 'x'.repeat(64 * 1024))
    await expect(read(['data: ', ...chunks])).rejects.toThrow(code('ERR_SSE_UPSTREAM'))
    expect(await read(['data: ', ...chunks.slice(1), '\n\n'])).toHaveLength(1)
  })

  it('is not an endless sequence of comments', async () => {
    expect(await read([...Array(1000).fill(':\n\n'), BODY], options)).toEqual(EVENTS)
  })
})

describe('parseEvents with bad input', () => {
  it.each([
    [429, 'application/json', 'status 429 and Content-Type application/json'],
    [500, 'text/event-stream', 'status 500'],
    [200, 'text/html', 'Content-Type text/html'],
  ])('throws ERR_SSE_UPSTREAM for a Response with %d %s, and closes it', async (status, type, message) => {
    const cancel = vi.fn()
    const upstream = response(new ReadableStream({ cancel }) as never, status, type)
    expect(() => parseEvents(upstream)).toThrow(code('ERR_SSE_UPSTREAM'))
    expect(() => parseEvents(response('', status, type))).toThrow(message)
    await settled()
    expect(cancel).toHaveBeenCalledOnce()
  })

  it('throws ERR_SSE_UPSTREAM for a Node.js response that is not an event stream, and closes it', async () => {
    const upstream = Object.assign(new PassThrough(), {
      statusCode: 503,
      headers: { 'content-type': 'text/plain' },
    })
    expect(() => parseEvents(upstream)).toThrow('status 503 and Content-Type text/plain')
    await settled()
    expect(upstream.destroyed).toBe(true)
  })

  it.each([undefined, null, 7, 'data: a\n\n', {}, () => {}, Buffer.from('data: a'), createServer()])(
    'throws ERR_SSE_SOURCE for %s',
    (body) => {
      expect(() => parseEvents(body as never)).toThrow(code('ERR_SSE_SOURCE'))
    },
  )

  it.each([
    ['a promise', Promise.resolve(), ' Await it first.'],
    ['"data: x"', 'data: x', ''],
    ['a WeakMap', { body: new WeakMap() }, ''],
  ])('names %s in the error', (given, body, hint) => {
    const message = `parseEvents() reads a response or its body, not ${given}.${hint}`
    expect(() => parseEvents(body as never)).toThrow(expect.objectContaining({ message }))
  })

  // The response of axios has its stream in `data`.
  it('throws ERR_SSE_SOURCE for a response without a body', () => {
    const headers = { 'content-type': 'text/event-stream' }
    expect(() => parseEvents({ status: 200, headers, data: new PassThrough() } as never)).toThrow(
      code('ERR_SSE_SOURCE'),
    )
  })

  it('rejects with ERR_SSE_SOURCE for chunks that are neither bytes nor text', async () => {
    await expect(read([{ choices: [] }] as never)).rejects.toThrow(code('ERR_SSE_SOURCE'))
  })

  it.each([{ maxEventLength: 0 }, { maxEventLength: '1' }, { maxEvent: 1 }, []])(
    'throws ERR_SSE_OPTION for the options %o',
    (options) => {
      expect(() => parseEvents([BODY], options as never)).toThrow(code('ERR_SSE_OPTION'))
    },
  )

  it('throws for a body that is already read', async () => {
    const upstream = response(BODY)
    await upstream.text()
    expect(() => parseEvents(upstream)).toThrow(TypeError)
  })
})
