import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get, rawClient } from '../support/client.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

// Far more than the kernel buffers, so that the frame is written in part when the response ends.
const LARGE = 16 * 1024 * 1024

const request = (path: string, version = '1.1') => `GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`

/** Waits until the kernel accepts no more of the event that a stream has sent to a client that does not read. */
async function partlySent(path: string, prepare: (response: ServerResponse) => void = () => {}) {
  const opened = deferred<{ stream: SseStream; response: ServerResponse }>()
  const { port } = await serve((req, res) => {
    if (req.url !== '/events') return void res.end(`other ${req.url}`)
    prepare(res)
    const stream = createSseStream(req, res, { retry: 0, heartbeat: 0 })
    opened.resolve({ stream, response: res })
  })
  const client = rawClient(port, path)
  const { stream, response } = await opened.promise
  client.stopReading()
  stream.send({ data: 'x'.repeat(LARGE) })
  await expect.poll(() => response.socket?.writableNeedDrain).toBe(true)
  return { client, stream, response }
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly rest: string
}

/** Reads one response, strictly: throws for a chunk that is not framed as RFC 9112 7.1 requires. */
function readResponse(text: string): Answer {
  const [head = '', ...rests] = text.split('\r\n\r\n')
  const rest = rests.join('\r\n\r\n')
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1])
  const length = /^content-length: (\d+)/im.exec(head)?.[1]
  if (length) return { status, body: rest.slice(0, Number(length)), rest: rest.slice(Number(length)) }
  const chunks: string[] = []
  for (let at = 0; ; ) {
    const [line = '', hex = ''] = /^([0-9a-f]+)\r\n/.exec(rest.slice(at, at + 20)) ?? []
    const [from, size] = [at + line.length, Number.parseInt(hex, 16)]
    at = from + size + 2
    if (line === '' || rest.slice(at - 2, at) !== '\r\n')
      throw new Error(`No chunk: ${rest.slice(from, from + 80)}`)
    if (size === 0) return { status, body: chunks.join(''), rest: rest.slice(at) }
    chunks.push(rest.slice(from, from + size))
  }
}

async function readBoth(client: Client): Promise<[Answer, Answer]> {
  client.resumeReading()
  await client.until('other /next')
  const first = readResponse(client.body)
  return [first, readResponse(first.rest)]
}

describe('a response that the application ends in the middle of a large event', () => {
  it.each<[how: string, end: (response: ServerResponse) => void, tail: string]>([
    ['end()', (response) => response.end(), ''],
    ['end() with a body', (response) => response.end('tail'), 'tail'],
    [
      'write() and end()',
      (response) => {
        response.write('more ')
        response.end('tail')
      },
      'more tail',
    ],
  ])('by %s is well framed, and so is the next response on the connection', async (_how, end, tail) => {
    const { client, stream, response } = await partlySent(request('/events') + request('/next'))
    const reason = closed(stream)
    end(response)
    const [first, second] = await readBoth(client)
    expect(first.body.slice(0, 10)).toBe(':\ndata: xx')
    expect(first.body.endsWith(`xxx${tail}`)).toBe(true)
    expect(first.body.length).toBeLessThan(LARGE)
    expect(second).toEqual({ status: 200, body: 'other /next', rest: '' })
    expect(await reason).toEqual({ reason: 'client', error: undefined })
  })

  it('is well framed if a middleware wraps the response', async () => {
    const { client, response } = await partlySent(request('/events') + request('/next'), (res) => {
      const { write } = res
      res.write = ((...args: Parameters<typeof write>) => write.apply(res, args)) as typeof write
    })
    response.end()
    const [first, second] = await readBoth(client)
    expect(first.body.slice(0, 10)).toBe(':\ndata: xx')
    expect(second.body).toBe('other /next')
  })

  it('is well framed if it was pipelined behind another response', async () => {
    const pipelined = request('/first') + request('/events') + request('/next')
    const { client, response } = await partlySent(pipelined)
    response.end()
    client.resumeReading()
    await client.until('other /next')
    const first = readResponse(client.body)
    const events = readResponse(first.rest)
    expect(events.body.slice(0, 10)).toBe(':\ndata: xx')
    expect(readResponse(events.rest)).toEqual({ status: 200, body: 'other /next', rest: '' })
  })

  it('ends with the connection over HTTP/1.0', async () => {
    const { client, response } = await partlySent(request('/events', '1.0'))
    response.end()
    client.resumeReading()
    expect(await client.ended).toBe('end')
    expect(client.body.split('\r\n\r\n')[1]).toMatch(/^:\ndata: x+$/)
  })

  it('cuts the connection if it is destroyed', async () => {
    const { client, stream, response } = await partlySent(request('/events') + request('/next'))
    const reason = closed(stream)
    response.destroy()
    client.resumeReading()
    await client.ended
    expect(client.body).not.toContain('other')
    expect(await reason).toMatchObject({ reason: 'client' })
  })
})

describe('a response that the application has ended', () => {
  it.each<[name: string, protocol: Protocol, isWrapped: boolean]>([
    ['over HTTP/1.1', 'http', false],
    ['over HTTP/1.1, wrapped by a middleware', 'http', true],
    ['over HTTP/2', 'h2c', false],
  ])('%s is not cut by an event or a heartbeat', async (_name, protocol, isWrapped) => {
    const opened = deferred<{ stream: SseStream; response: ServerResponse }>()
    const { port } = await serve((req, res) => {
      const { write } = res
      if (isWrapped)
        res.write = ((...args: Parameters<typeof write>) => write.apply(res, args)) as typeof write
      opened.resolve({ stream: createSseStream(req, res, { retry: 0 }), response: res })
    }, protocol)
    const [client, { stream, response }] = await Promise.all([get(protocol, port), opened.promise])
    client.stopReading()
    const reason = closed(stream)
    response.write('x'.repeat(LARGE))
    response.end('tail')
    stream.send({ data: 'after the end' })
    await nextTurn()
    stream._connection._silent()
    client.resumeReading()
    expect(await client.ended).toBe('end')
    expect(client.body.slice(-8)).toBe('xxxxtail')
    expect(await reason).toEqual({ reason: 'client', error: undefined })
  })
})

describe('a response that the application ends after a part of an event', () => {
  it.each([-8, -7, -4, 0, 1])('of 64 KiB and %i bytes is well framed', async (difference) => {
    const opened = deferred<{ stream: SseStream; response: ServerResponse }>()
    const { port } = await serve((req, res) => {
      if (req.url !== '/events') return void res.end(`other ${req.url}`)
      const stream = createSseStream(req, res, { retry: 0, heartbeat: 0, overflow: 'drop-newest' })
      opened.resolve({ stream, response: res })
    })
    const client = rawClient(port, request('/events') + request('/next'))
    const { stream, response } = await opened.promise
    client.stopReading()
    // `data: `, the text and two line ends.
    const event = { data: 'x'.repeat(64 * 1024 + difference - 8) }
    while (!response.socket?.writableNeedDrain) {
      stream.send(event)
      await nextTurn()
    }
    response.end()
    const [, second] = await readBoth(client)
    expect(second).toEqual({ status: 200, body: 'other /next', rest: '' })
  })
})

describe('a large event', () => {
  it('arrives whole, in chunks of at most 64 KiB', async () => {
    const { client, stream } = await partlySent(request('/events') + request('/next'))
    stream.close()
    const [first, second] = await readBoth(client)
    expect(first.body).toBe(`:\ndata: ${'x'.repeat(LARGE)}\n\n`)
    expect(second.body).toBe('other /next')
  })
})
