import { expect, it } from 'vitest'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import type { Channel } from '../../src/hub/channel.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { Client, Get } from '../support/client.ts'
import { watch } from '../support/diagnostics.ts'
import { deferred } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import type { AdapterUnderTest, AnyHandler, Mounted } from './contract.ts'

/** Mounts a handler. `send` requests it. */
export type Mount = (handler: AnyHandler, options: SseHandlerOptions) => Promise<Mounted>
export type Send = (mounted: Mounted, request: Get) => Promise<Client>

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const POLL = '/stream?format=json'

// Of the connection and of the body, which depends on the events.
const VARYING =
  /^(date|connection|keep-alive|content-length|content-encoding|transfer-encoding|set-cookie|etag)$/

function headersOf({ headers }: Client): object {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !VARYING.test(name)))
}

// The hub of a channel, for handlers that subscribe to another channel of it.
const channelsOf = new WeakMap<Channel, Hub>()

/** Tests the representations of an adapter: NDJSON and the long poll beside the event stream. */
export function formatsContract(adapter: AdapterUnderTest, mount: Mount, send: Send): void {
  const news = () => new Hub().channel('news')

  /** Mounts a handler that subscribes to a channel. `subscribed` resolves with its first client. */
  async function mountNews() {
    const channel = news()
    const { promise: subscribed, resolve } = deferred<void>()
    const mounted = await mount((stream) => {
      channel.subscribe(stream)
      resolve()
    }, FORMATS)
    return { channel, mounted, subscribed }
  }

  async function poll(mounted: Mounted, query = '', headers: Record<string, string> = {}) {
    const client = await send(mounted, { path: `${POLL}${query}`, headers })
    expect(await client.ended).toBe('end')
    return { client, ...JSON.parse(client.body) }
  }

  it.each([
    ['text/event-stream', 'text/event-stream'],
    ['*/*', 'text/event-stream'],
    ['application/x-ndjson', 'application/x-ndjson'],
    ['application/jsonl, text/event-stream;q=0.5', 'application/x-ndjson'],
    ['application/json;q=0.9, text/event-stream;q=0.5', 'application/json'],
    ['application/json, text/plain, */*', 'application/json'],
  ])('chooses the format by Accept %s (rule 18)', async (accept, type) => {
    const handler = (stream: SseStream) => void stream.send({ data: 1 })
    const client = await send(await mount(handler, FORMATS), { headers: { accept } })
    expect(client.headers['content-type']).toContain(type)
    expect(client.headers.vary).toMatch(/\bAccept\b/)
  })

  it('chooses the format by the query before Accept', async () => {
    const mounted = await mount((stream) => void stream.send({ data: 1 }), FORMATS)
    const path = '/stream?a=b&format=ndjson'
    const client = await send(mounted, { path, headers: { accept: 'text/event-stream' } })
    expect(client.headers['content-type']).toContain('application/x-ndjson')
    expect(client.headers.vary ?? '').not.toMatch(/\bAccept\b(?!-)/)
  })

  it.each([
    ['/stream?format=xml', '*/*'],
    ['/stream', 'text/html'],
    ['/stream', 'text/event-stream;q=0, application/*;q=0'],
  ])('responds 406 with the formats to %s and Accept %s', async (path, accept) => {
    const headers = {
      'access-control-allow-origin': '*',
      'content-type': 'text/event-stream',
      vary: 'Origin',
    }
    const mounted = await mount(() => expect.unreachable(), { ...FORMATS, headers })
    const client = await send(mounted, { path, headers: { accept } })
    await client.ended
    expect(client.status).toBe(406)
    // Without the header of CORS, a page of another origin cannot read the status.
    expect(client.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'content-type': expect.not.stringContaining('event-stream'),
      vary: expect.stringMatching(/\bOrigin, Accept\b/),
    })
    // Fastify passes it to its error handler.
    const text = `${client.body}${mounted.errors}`
    expect(text).toContain('text/event-stream, application/x-ndjson, application/json')
  })

  it('streams NDJSON with the fields event, id and data', async () => {
    const { channel, mounted, subscribed } = await mountNews()
    const client = await send(mounted, { headers: { accept: 'application/x-ndjson' } })
    await subscribed
    const id = await channel.publish({ event: 'price', data: { value: 1 } })
    const textId = await channel.publish({ data: 'a\r\nb"' })
    await client.until(textId)
    await client.until((body) => body.includes('b\\"'))
    expect(client.headers['content-type']).toContain('application/x-ndjson')
    expect(client.body.startsWith('\n')).toBe(true)
    const lines = client.body.split('\n').filter((line) => line.includes('"event"'))
    expect(lines).toEqual([
      `{"event":"price","id":"${id}","data":{"value":1}}`,
      `{"event":"message","id":"${textId}","data":"a\\nb\\""}`,
    ])
    // The position of a new client, from which it resumes before its first event.
    expect(client.body.split('\n').some((line) => /^\{"id":"[^"]+"\}$/.test(line))).toBe(true)
  })

  it('holds a poll until the first event, and continues after the cursor', async () => {
    const { channel, mounted, subscribed } = await mountNews()
    const first = poll(mounted)
    await subscribed
    const id = await channel.publish({ event: 'price', data: { value: 1 } })
    const { client, ...page } = await first
    expect(page).toEqual({
      events: [{ event: 'price', id, data: { value: 1 } }],
      lastEventId: id,
      retry: 0,
    })
    // Next.js 16 compresses even a short body, and Next.js 15 does not.
    const length = adapter.removesEncoding ? expect.anything() : String(Buffer.byteLength(client.body))
    expect(client.headers['content-length'] ?? 'none').toEqual(length)
    expect(client.headers['cache-control']).toBe('private, no-store')
    await channel.publish({ data: 'missed' })
    const next = await poll(mounted, `&lastEventId=${id}`)
    expect(next.events).toMatchObject([{ event: 'message', data: 'missed' }])
    const byHeader = await poll(mounted, '', { 'last-event-id': id })
    expect(byHeader.events).toEqual(next.events)
  })

  it('responds with an empty page and the cursor when no event is published', async () => {
    const channel = news()
    const id = await channel.publish({ data: 1 })
    const mounted = await mount((stream) => channel.subscribe(stream), FORMATS)
    const { client, ...page } = await poll(mounted, '&hold=0')
    expect([client.status, page]).toEqual([200, { events: [], lastEventId: id, retry: 0 }])
  })

  it('reports a gap as an event of a poll (rule 25)', async () => {
    const channel = news()
    await channel.publish({ data: 1 })
    const mounted = await mount((stream) => channel.subscribe(stream), FORMATS)
    for (const id of ['unknown-7', encodeURIComponent('\0')]) {
      const { events, lastEventId } = await poll(mounted, `&lastEventId=${id}`)
      expect(events).toMatchObject([{ event: 'gap', id: lastEventId }])
    }
  })

  it('ends a held poll at shutdown with the time of the next one', async () => {
    const hub = new Hub()
    const mounted = await mount((stream) => hub.subscribe(stream, 'news'), FORMATS)
    const held = poll(mounted)
    await expect.poll(() => hub.size).toBe(1)
    await hub.shutdown({ retry: 5_000 })
    const { events, lastEventId, retry } = await held
    expect([events, lastEventId]).toEqual([[], expect.any(String)])
    expect(retry).toBeGreaterThanOrEqual(5_000)
  })

  it('delays the next poll when the handler closes the stream', async () => {
    const mounted = await mount((stream) => stream.close(), { ...FORMATS, retry: 3_000 })
    const { events, retry } = await poll(mounted)
    expect(events).toEqual([])
    expect(retry).toBeGreaterThanOrEqual(3_000)
  })

  it('sends all events of a source in one response', async () => {
    const source = Array.from({ length: 50 }, (_, index) => ({ data: index }))
    const mounted = await mount(() => source, FORMATS)
    const { events } = await poll(mounted)
    expect(events.map(({ data }: { data: number }) => data)).toEqual(source.map(({ data }) => data))
  })

  it('passes an error before the events of a poll to the framework', async () => {
    const mounted = await mount(async () => {
      await new Promise((resolve) => setImmediate(resolve))
      throw new Error('secret')
    }, FORMATS)
    const client = await send(mounted, { path: POLL })
    await client.ended
    expect(client.status).toBeGreaterThanOrEqual(500)
    expect(client.body).not.toContain('secret')
  })

  it.each<[string, (stream: SseStream) => unknown]>([
    ['has subscribed', (stream) => news().subscribe(stream)],
    ['has sent an event', (stream) => stream.send({ data: 1 })],
  ])('passes an error to the framework after the handler of a poll %s', async (_what, begin) => {
    const mounted = await mount(async (stream) => {
      begin(stream)
      await nextTurn()
      throw new Error('secret')
    }, FORMATS)
    const client = await send(mounted, { path: POLL })
    expect(await client.ended).toBe('end')
    expect(client.status).toBeGreaterThanOrEqual(500)
    expect(client.body).not.toContain('secret')
  })

  it('detects the disconnect of a held client (rule 28)', async () => {
    const opened = deferred<SseStream>()
    const mounted = await mount((stream) => opened.resolve(stream), FORMATS)
    const { port } = mounted
    const aborted = new AbortController()
    const request = fetch(`http://127.0.0.1:${port}${POLL}`, { signal: aborted.signal })
    const stream = await opened.promise
    expect(stream.format).toBe('json')
    aborted.abort()
    await expect(request).rejects.toThrow()
    expect(await closed(stream)).toMatchObject({ reason: 'client' })
  })

  it.each<[string, Get]>([
    ...FORMATS.formats.map((format): [string, Get] => [format, { path: `/stream?format=${format}` }]),
    ['a format of Accept', { headers: { accept: 'application/json' } }],
  ])('responds to a HEAD request for %s as to a GET, without a stream (rule 19)', async (_what, request) => {
    const channel = news()
    let handled = 0
    const mounted = await mount((stream) => {
      handled += 1
      channel.subscribe(stream)
      stream.close()
    }, FORMATS)
    const head = await send(mounted, { ...request, method: 'HEAD' })
    expect([await head.ended, head.body, handled]).toEqual(['end', '', 0])
    const client = await send(mounted, request)
    await client.ended
    expect([head.status, headersOf(head)]).toEqual([client.status, headersOf(client)])
    expect(handled).toBe(1)
  })

  it('ends a held poll with its cursor while the framework closes', async () => {
    const hub = new Hub()
    const id = await hub.channel('news').publish({ data: 1 })
    const mounted = await mount((stream) => hub.subscribe(stream, 'news'), FORMATS)
    const held = poll(mounted)
    await expect.poll(() => hub.size).toBe(1)
    const closed = mounted.close()
    await hub.shutdown()
    expect(await held).toMatchObject({ events: [], lastEventId: id })
    await closed
  })

  it.each<[string, string, (stream: SseStream) => unknown]>([
    ['poll', POLL, (stream) => stream.send({ data: 'é' })],
    ['poll', `${POLL}&hold=0`, (stream) => news().subscribe(stream)],
    ['server', POLL, (stream) => stream.close()],
    ['server', '/stream?format=ndjson', (stream) => stream.close()],
  ])('reports each stream once, with the reason %s (%s)', async (reason, path, begin) => {
    const opened = watch('spillway:stream:open')
    const closed = watch('spillway:stream:close')
    const mounted = await mount((stream) => void begin(stream), FORMATS)
    const client = await send(mounted, { path })
    await client.ended
    await expect.poll(() => closed.length).toBe(1)
    const [{ stream } = { stream: undefined }] = opened
    expect([opened.length, closed]).toEqual([
      1,
      [expect.objectContaining({ stream, reason, error: undefined })],
    ])
    const [{ events, bytes, duration } = {}] = closed
    expect(events).toBe(client.body.includes('"data"') ? 1 : 0)
    expect([bytes, duration]).toEqual([expect.any(Number), expect.any(Number)])
  })

  // Next.js compresses a response itself.
  it.skipIf(adapter.removesEncoding)('compresses a large page if the client accepts it', async () => {
    const channel = news()
    const first = await channel.publish({ data: 0 })
    await channel.publish({ data: 'x'.repeat(10_000) })
    const mounted = await mount((stream) => channel.subscribe(stream), FORMATS)
    const url = `http://127.0.0.1:${mounted.port}${POLL}&lastEventId=${first}`
    const response = await fetch(url, { headers: { 'accept-encoding': 'gzip' } })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect(Number(response.headers.get('content-length'))).toBeLessThan(1_000)
    expect(response.headers.get('vary')).toContain('Accept-Encoding')
    const { events } = (await response.json()) as { events: unknown[] }
    expect(events).toHaveLength(1)
    const plain = await poll(mounted, `&lastEventId=${first}`, { 'accept-encoding': 'gzip;q=0, identity' })
    expect([plain.client.headers['content-encoding'], plain.events]).toEqual([undefined, events])
  })

  const PAGES = { ...FORMATS, longPoll: { pageSize: 3 } } as const

  /** Publishes events to a public channel, and returns their ids. */
  async function published(channel: Channel, count: number): Promise<string[]> {
    const ids: string[] = []
    for (let index = 0; index < count; index++) ids.push(await channel.publish({ data: index }))
    return ids
  }

  it('lets caches keep the pages of a public channel, a full one forever', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const ids = await published(channel, 6)
    const mounted = await mount((stream) => channel.subscribe(stream), PAGES)
    const full = await poll(mounted, `&lastEventId=${ids[0]}`)
    // A response that sets a cookie belongs to one client. The first middleware of some servers does.
    if (full.client.headers['set-cookie'] && !full.client.headers.etag)
      return void expect(full.client.headers['cache-control']).toBe('private, no-store')
    expect([full.events.length, full.lastEventId]).toEqual([3, ids[3]])
    expect(full.client.headers).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      etag: `W/"${ids[0]}%20${ids[3]}"`,
    })
    expect(full.client.headers.vary ?? '').not.toMatch(/\bAccept\b(?!-)/)
    const last = await poll(mounted, `&lastEventId=${ids[3]}`)
    expect([last.events.length, last.client.headers['cache-control']]).toEqual([2, 'public, max-age=1'])
    await published(channel, 9)
    const again = await poll(mounted, `&lastEventId=${ids[0]}`)
    expect([again.client.body, again.client.headers.etag]).toEqual([
      full.client.body,
      full.client.headers.etag,
    ])
    const headers = { 'if-none-match': String(full.client.headers.etag) }
    const unchanged = await send(mounted, { path: `${POLL}&lastEventId=${ids[0]}`, headers })
    expect([await unchanged.ended, unchanged.status, unchanged.body]).toEqual(['end', 304, ''])
  })

  it.each<[string, (channel: Channel, stream: SseStream) => unknown, Get & { query?: string }]>([
    ['with a filter', (channel, stream) => channel.subscribe(stream, { filter: () => true }), {}],
    [
      'with a private channel beside it',
      (channel, stream) => {
        channel.subscribe(stream)
        channelsOf.get(channel)?.subscribe(stream, 'private')
      },
      {},
    ],
    [
      'after a public channel beside it was removed',
      (channel, stream) => {
        channel.subscribe(stream)
        channelsOf.get(channel)?.channel('other', { cache: 'public' }).subscribe(stream)()
      },
      {},
    ],
    [
      'with an event of the handler',
      (channel, stream) => {
        stream.send({ data: 'hello' })
        channel.subscribe(stream)
      },
      {},
    ],
    ['with a gap', (channel, stream) => channel.subscribe(stream), { query: '&lastEventId=unknown' }],
    [
      'with the cursor in a header',
      (channel, stream) => channel.subscribe(stream),
      { query: '', headers: { 'last-event-id': 'first' } },
    ],
    [
      'with a format that was chosen by Accept',
      (channel, stream) => channel.subscribe(stream),
      { path: '/stream?lastEventId=first', headers: { accept: 'application/json' } },
    ],
  ])('lets no cache keep a page %s', async (_what, subscribe, { path = POLL, query, headers = {} }) => {
    const hub = new Hub()
    const channel = hub.channel('news', { cache: 'public' })
    channelsOf.set(channel, hub)
    const [first = ''] = await published(channel, 6)
    const mounted = await mount((stream) => void subscribe(channel, stream), PAGES)
    const cursor = path === POLL ? (query ?? `&lastEventId=${first}`) : ''
    const present = Object.entries(headers).map(([name, value]) => [name, value.replace('first', first)])
    const client = await send(mounted, {
      path: `${path.replace('first', first)}${cursor}`,
      headers: Object.fromEntries(present),
    })
    await client.ended
    expect(JSON.parse(client.body).events.length).toBeGreaterThan(0)
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it('lets no cache keep a page of a route with authorize', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const ids = await published(channel, 6)
    const mounted = await mount((stream) => channel.subscribe(stream), { ...PAGES, authorize: () => true })
    const { client, events } = await poll(mounted, `&lastEventId=${ids[0]}`)
    expect(events.length).toBeGreaterThan(0)
    expect([client.headers['cache-control'], client.headers.etag]).toEqual(['private, no-store', undefined])
  })

  it('lets no cache keep a page of a channel that is not public, nor an empty one', async () => {
    const hub = new Hub()
    const channel = hub.channel('news', { cache: 'public' })
    const ids = await published(channel, 2)
    const mounted = await mount((stream) => hub.subscribe(stream, 'news'), PAGES)
    const page = await poll(mounted, `&lastEventId=${ids[0]}`)
    expect(page.client.headers['cache-control']).toBe('private, no-store')
    const open = await mount((stream) => channel.subscribe(stream), PAGES)
    const empty = await poll(open, `&lastEventId=${ids[1]}&hold=0`)
    expect([empty.events, empty.client.headers['cache-control']]).toEqual([[], 'private, no-store'])
  })

  it('reports the change of transport that a client states', async () => {
    const messages = watch('spillway:stream:transport')
    const mounted = await mount((stream) => void stream.send({ data: 1 }), FORMATS)
    const headers = { 'user-agent': 'a browser', via: '1.1 varnish' }
    await poll(mounted, '&transport=json&reason=no-first-byte', headers)
    await poll(mounted, `&reason=${'x'.repeat(100)}`)
    expect(messages).toEqual([
      expect.objectContaining({
        transport: 'json',
        reason: 'no-first-byte',
        userAgent: 'a browser',
        // Next.js adds `X-Forwarded-For`.
        proxies: expect.objectContaining({ via: '1.1 varnish' }),
      }),
    ])
  })

  it('opens a stream with padded heartbeats', async () => {
    const mounted = await mount(() => {}, FORMATS)
    const client = await send(mounted, { path: '/stream?padded=1' })
    await client.until((body) => body.length > 2_000)
    expect(client.body).toMatch(/^:\nretry: \d+\n: heartbeat 15000\n: {2046}\n$/)
  })
}
