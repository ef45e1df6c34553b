import { EventSource } from 'eventsource'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import type { Refusal } from '../../src/stream/refusal.ts'
import { get } from '../support/client.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('refuseSseStream (rule 20)', () => {
  it.each<Protocol>(['http', 'h2c'])('responds with a status over %s', async (protocol) => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { status: 403 }), protocol)
    const client = await get(protocol, port)
    expect(client.status).toBe(403)
    expect(await client.ended).toBe('end')
  })

  it('sends a stream that ends immediately with a reconnection time (rule 39)', async () => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { retry: 5000 }))
    const client = await get('http', port)
    expect(client).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream; charset=utf-8' },
    })
    expect(await client.ended).toBe('end')
    expect(Number(/^:\nretry: (\d+)\n$/.exec(client.body)?.[1])).toBeGreaterThanOrEqual(5000)
  })

  it.each([
    ['ndjson', 'application/x-ndjson; charset=utf-8'],
    ['json', 'application/json'],
  ])('sends the reconnection time in the format %s of the URL', async (format, type) => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { retry: 5000 }))
    const client = await get('http', port, { path: `/?format=${format}` })
    expect(await client.ended).toBe('end')
    expect(client.headers['content-type']).toBe(type)
    expect(JSON.parse(client.body).retry).toBeGreaterThanOrEqual(5000)
  })

  it('sends a long poll the cursor of its next request', async () => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { retry: 5000 }))
    const client = await get('http', port, { path: '/?format=json&lastEventId=a-7' })
    await client.ended
    expect(JSON.parse(client.body).lastEventId).toBe('a-7')
  })

  it.each([{ status: 404 }, { retry: 5000 }])('sends a response that no cache keeps: %j', async (refusal) => {
    const { port } = await serve((_req, res) => {
      res.setHeader('Cache-Control', 'public, max-age=60')
      refuseSseStream(res, refusal)
    })
    expect((await get('http', port)).headers['cache-control']).toBe('no-store')
  })

  it.each([204, 403, 503])('makes an EventSource stop with status %i', async (status) => {
    let requests = 0
    const { url } = await serve((_req, res) => {
      requests += 1
      refuseSseStream(res, { status })
    })
    const source = new EventSource(url)
    const failed = deferred<void>()
    source.onerror = () => failed.resolve()
    await failed.promise
    expect(source.readyState).toBe(EventSource.CLOSED)
    expect(requests).toBe(1)
  })

  it.each([
    ['handling=strict, handling=lenient', 503],
    ['handling=lenient, handling=strict', 200],
    ['respond-async, handling="lenient"; x, Handling=strict', 200],
    ['handling=stricter', 200],
  ])('responds to the first preference of %s with %i (RFC 7240 2)', async (prefer, status) => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { retry: 5000 }))
    expect((await get('http', port, { headers: { prefer } })).status).toBe(status)
  })

  it.each<[Protocol, string]>([
    ['http', 'POST'],
    ['h2c', 'POST'],
    ['http', 'PUT'],
  ])('responds with a 503 over %s to a %s, which no EventSource sends', async (protocol, method) => {
    const { port } = await serve((_req, res) => refuseSseStream(res, { retry: 5000 }), protocol)
    const client = await get(protocol, port, { method })
    expect(await client.ended).toBe('end')
    expect([client.status, client.body]).toEqual([503, ''])
    expect(Number(client.headers['retry-after'])).toBeGreaterThanOrEqual(5)
  })

  it('makes an EventSource reconnect', async () => {
    let requests = 0
    const { url } = await serve((req, res) => {
      requests += 1
      if (requests < 3) refuseSseStream(res, { retry: 1 })
      else createSseStream(req, res).send({ data: 'welcome' })
    })
    const source = new EventSource(url)
    const welcomed = deferred<string>()
    source.onmessage = (event) => welcomed.resolve(event.data)
    expect(await welcomed.promise).toBe('welcome')
    expect(requests).toBe(3)
    source.close()
  })

  it.each([
    [{}, 'A refusal must be { status }, { status, retryAfter } or { retry }, not {}.'],
    [null, 'or { retry }, not null.'],
    [403, 'or { retry }, not 403.'],
    [{ status: 503, retry: 30_000 }, 'or { retry }, not {status, retry}.'],
    [{ retry: 5, retryAfter: 5 }, 'or { retry }, not {retry, retryAfter}.'],
    [{ retryAfter: 5 }, 'or { retry }, not {retryAfter}.'],
    [{ status: undefined }, 'or { retry }, not {}.'],
    [{ status: 200 }, 'Option status must be a whole number from 201 to 599, not 200.'],
    [{ status: 600 }, 'Option status must be a whole number from 201 to 599, not 600.'],
    [{ status: '403' }, 'Option status must be a whole number from 201 to 599, not "403".'],
    [
      { status: 503, retryAfter: '5' },
      'Option retryAfter must be a whole number from 1 to 2147483647, not "5".',
    ],
    [{ retry: 0 }, 'Option retry must be a whole number from 1 to 2147483647, not 0.'],
    [{ retry: 1.5 }, 'Option retry must be'],
    [{ status: 503, message: 'full' }, 'Unknown option "message".'],
    [{ status: 503, headers: undefined }, 'Unknown option "headers".'],
  ])('rejects the refusal %j', async (refusal, message) => {
    const thrown = deferred<unknown>()
    const { port } = await serve((_req, res) => {
      try {
        refuseSseStream(res, refusal as Refusal)
        thrown.resolve(undefined)
      } catch (error) {
        thrown.resolve(error)
      }
      res.end()
    })
    await get('http', port)
    expect(await thrown.promise).toEqual(code('ERR_SSE_OPTION'))
    expect(((await thrown.promise) as Error).message).toContain(message)
  })

  it.each([
    [503, { status: 503, retry: undefined, retryAfter: undefined }],
    [200, { status: undefined, retry: 5_000 }],
  ])('responds with %i to a refusal whose other values are undefined', async (status, refusal) => {
    const { port } = await serve((_req, res) => refuseSseStream(res, refusal as Refusal))
    expect((await get('http', port)).status).toBe(status)
  })

  it('rejects a response whose headers were already sent', async () => {
    const thrown = deferred<unknown>()
    const { port } = await serve((_req, res) => {
      res.writeHead(200).flushHeaders()
      try {
        refuseSseStream(res, { status: 403 })
      } catch (error) {
        thrown.resolve(error)
      }
      res.end()
    })
    await get('http', port)
    expect(await thrown.promise).toEqual(code('ERR_SSE_HEADERS_SENT'))
  })
})
