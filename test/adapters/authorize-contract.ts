import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Grant } from '../../src/lifecycle/authorization.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { Client } from '../support/client.ts'
import { watch } from '../support/diagnostics.ts'
import { deferred } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'
import type { AnyHandler } from './contract.ts'
import type { Mount, Send } from './formats-contract.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const ORIGIN = { 'Access-Control-Allow-Origin': 'https://app.example.com' }

/** Returns a header of a request of any framework. */
function headerOf(request: unknown, name: string): unknown {
  const { headers } = request as { headers: Headers | Record<string, string> }
  return headers instanceof Headers ? headers.get(name) : headers[name]
}

/** Returns the headers of a response that do not depend on its body or its connection. */
function ownHeaders({ headers }: Client): Record<string, unknown> {
  const others = ['date', 'connection', 'keep-alive', 'transfer-encoding', 'content-length']
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !others.includes(name)))
}

/** Tests how an adapter decides who gets a stream. */
export function authorizeContract(mount: Mount, send: Send): void {
  /** Mounts a route whose handler sends `hello`. `streams` are those that the handler got. */
  async function open(options: SseHandlerOptions) {
    const streams: SseStream[] = []
    const handler: AnyHandler = (stream) => {
      streams.push(stream)
      stream.send({ data: 'hello' })
    }
    const mounted = await mount(handler, { ...FORMATS, headers: ORIGIN, ...options })
    const get = (path = '/stream', headers: Record<string, string> = {}, method = 'GET') =>
      send(mounted, { path, headers, method })
    return { mounted, streams, get }
  }

  describe('authorize', () => {
    it('is called with the request before the handler, and sets the context', async () => {
      const seen: unknown[] = []
      const opened = watch('spillway:stream:open')
      const contexts = () => opened.map(({ stream }) => stream.context)
      const { streams, get } = await open({
        authorize: async (stream) => {
          seen.push(headerOf(stream.request, 'x-user'), stream.lastEventId, streams.length, opened.length)
          return { context: { userId: 'ada' } }
        },
      })
      const client = await get('/stream', { 'x-user': 'ada', 'last-event-id': '7' })
      await client.until('hello')
      expect(seen).toEqual(['ada', '7', 0, 0])
      expect(streams.map(({ context }) => context)).toEqual([{ userId: 'ada' }])
      expect(contexts()).toEqual([{ userId: 'ada' }])
    })

    it.each([
      [403, false],
      [401, { status: 401 }],
      [204, { status: 204 }],
      [401, { expiresAt: new Date(Date.now() - 1) }],
    ])('responds with %i to a client that it refuses, without the handler', async (status, decision) => {
      const { mounted, streams, get } = await open({ authorize: async () => decision as never })
      for (const path of ['/stream', '/stream?format=ndjson', '/stream?format=json']) {
        const client = await get(path)
        expect(await client.ended).toBe('end')
        expect([client.status, client.body]).toEqual([status, ''])
        expect(client.headers).toMatchObject({
          'cache-control': 'no-store',
          'access-control-allow-origin': 'https://app.example.com',
        })
      }
      expect([streams, mounted.errors]).toEqual([[], []])
    })

    it.each<[how: string, path: string, end: (stream: SseStream) => void]>([
      ['closed a stream', '/stream', (stream) => stream.close()],
      ['destroyed a stream', '/stream', (stream) => stream.destroy()],
      ['closed a long poll', '/stream?format=json', (stream) => stream.close()],
      ['subscribed a long poll', '/stream?format=json&hold=0', (stream) => new Hub().subscribe(stream, 'a')],
    ])('responds with 403 to a client that it refuses after it has %s', async (_how, path, end) => {
      const { streams, get } = await open({
        authorize: async (stream) => {
          stream.send({ data: 'secret' })
          end(stream)
          for (let turn = 0; turn < 3; turn++) await nextTurn()
          return false
        },
      })
      const client = await get(path)
      expect(await client.ended).toBe('end')
      expect([client.status, client.body, streams]).toEqual([403, '', []])
    })

    it.each([
      ['/stream', /^:\nretry: (\d+)\n$/],
      ['/stream?format=ndjson', /^\{"retry":(\d+)\}\n$/],
      ['/stream?format=json', /^\{"events":\[\],.*"retry":(\d+)/],
    ])('sends %s a time to reconnect', async (path, body) => {
      const { streams, get } = await open({ authorize: () => ({ retry: 5_000 }) })
      const client = await get(path)
      expect(await client.ended).toBe('end')
      expect(client.status).toBe(200)
      expect(Number(body.exec(client.body)?.[1])).toBeGreaterThanOrEqual(5_000)
      expect(streams).toEqual([])
    })

    it.each(['/stream', '/stream?format=ndjson', '/stream?format=json'])(
      'sends a 503 to a program that prefers it, on %s',
      async (path) => {
        const { get } = await open({ authorize: () => ({ retry: 5_000 }) })
        const client = await get(path, { prefer: 'respond-async, Handling="strict"' })
        expect(await client.ended).toBe('end')
        expect([client.status, client.body]).toEqual([503, ''])
        expect(Number(client.headers['retry-after'])).toBeGreaterThanOrEqual(5)
      },
    )

    it.each([
      ['throws', () => Promise.reject(new Error('no database')), /no database/],
      [
        'throws at once',
        () => {
          throw new Error('no database')
        },
        /no database/,
      ],
      ['never decides', () => new Promise(() => {}), /has not decided within 20 ms/],
      ['returns nothing', () => undefined, /must return true, false/],
      ['returns a text', () => 'yes', /must return true, false/],
      ['returns an error', () => new Error('expired'), /must return true, false/],
      ['returns a list', () => [], /must return true, false/],
      ['returns a user', () => ({ id: 7, name: 'Ada' }), /must return true, false/],
      ['returns a response', () => new Response(null, { status: 401 }), /must return true, false/],
      ['returns the context of nobody', () => ({ context: null }), /context must be an object, not null/],
      ['finds no session', () => ({ context: undefined }), /context must be an object, not undefined/],
      [
        'finds no session, but a time',
        () => ({ context: undefined, expiresAt: 2e12 }),
        /context must be an object/,
      ],
      ['finds no time', () => ({ expiresAt: undefined }), /expiresAt must be a Date .*, not undefined/],
      ['returns an empty object', () => ({}), /must return true, false/],
      ['returns no user', () => ({ userId: undefined }), /Unknown option "userId"/],
      ['returns a context and no error', () => ({ context: {}, error: undefined }), /Unknown option "error"/],
      ['returns a context and a status', () => ({ context: {}, status: 401 }), /Unknown option "status"/],
      ['returns a text as the context', () => ({ context: 'ada' }), /context must be an object, not "ada"/],
      ['returns a list as the context', () => ({ context: [] }), /context must be an object, not an array/],
      [
        'returns a time in seconds',
        () => ({ expiresAt: 1_900_000_000 }),
        /expiresAt must be .* not 1900000000/,
      ],
      ['returns an invalid status', () => ({ status: 1 }), /must return true, false/],
    ])('that %s makes the client reconnect later, and is reported', async (_, authorize, message) => {
      const errors = watch('spillway:authorize:error')
      const { mounted, streams, get } = await open({
        authorize: authorize as never,
        authorizeTimeout: 20,
        retry: 700,
      })
      const client = await get()
      expect(await client.ended).toBe('end')
      expect([client.status, client.body]).toEqual([200, expect.stringMatching(/^:\nretry: \d+\n$/)])
      expect(errors.map(({ error }) => (error as Error).message)).toEqual([expect.stringMatching(message)])
      expect([streams, mounted.errors]).toEqual([[], []])
    })

    it.each([
      [
        { status: 401, retry: 5_000 },
        'must be { status }, { status, retryAfter } or { retry }, not {status, retry}.',
      ],
      [{ status: '401' }, 'Option status must be a whole number from 201 to 599, not "401".'],
      [
        { status: 503, retryAfter: '5' },
        'Option retryAfter must be a whole number from 1 to 2147483647, not "5".',
      ],
      [{ retry: 0 }, 'Option retry must be a whole number from 1 to 2147483647, not 0.'],
      [{ status: 401, message: 'Log in.' }, 'Unknown option "message".'],
    ])('that returns the refusal %j reports its wrong value', async (refusal, message) => {
      const errors = watch('spillway:authorize:error')
      const { streams, get } = await open({ authorize: () => refusal as never, retry: 700 })
      const client = await get()
      expect(await client.ended).toBe('end')
      expect(client.status).toBe(200)
      expect(Number(/^:\nretry: (\d+)\n$/.exec(client.body)?.[1])).toBeLessThanOrEqual(1_400)
      expect(errors.map(({ error }) => error)).toEqual([
        expect.objectContaining({ code: 'ERR_SSE_AUTHORIZE', message: expect.stringContaining(message) }),
      ])
      expect(streams).toEqual([])
    })

    it('prints the first error of a route if nothing subscribes to the channel', async () => {
      const print = vi.spyOn(console, 'error').mockImplementation(() => {})
      onTestFinished(() => print.mockRestore())
      const { get } = await open({ authorize: () => Promise.reject(new Error('no database')) })
      for (const client of [await get(), await get()]) await client.ended
      // Next prints errors of its own.
      const own = print.mock.calls.filter(([text]) => String(text).includes('authorize'))
      expect(own).toEqual([[expect.any(String), new Error('no database')]])
    })

    it.each([
      { context: { userId: 'ada' } },
      { context: { userId: 'ada' }, expiresAt: undefined },
      { expiresAt: 2e12 },
    ])('admits a client by %j', async (grant) => {
      const { streams, get } = await open({ authorize: () => grant as Grant })
      await (await get()).until('hello')
      expect(streams[0]).toMatchObject({ context: grant.context ?? {} })
      expect(streams[0]?.expiresAt?.getTime()).toBe(grant.expiresAt)
    })

    it('decides about a HEAD request', async () => {
      const users = ['ada', undefined]
      const { streams, get } = await open({ authorize: () => users.shift() !== undefined })
      const admitted = await get('/stream', {}, 'HEAD')
      const refused = await get('/stream', {}, 'HEAD')
      expect([await admitted.ended, await refused.ended]).toEqual(['end', 'end'])
      expect([admitted.status, refused.status, streams]).toEqual([200, 403, []])
    })

    it.each([
      ['/stream', false],
      ['/stream', { status: 429, retryAfter: 1_500 }],
      ['/stream', { retry: 1_000 }],
      ['/stream?format=ndjson', { retry: 1_000 }],
      ['/stream?format=json', { retry: 1_000 }],
    ] as const)('refuses HEAD with the headers of GET (rule 19), on %s with %o', async (path, decision) => {
      const { get } = await open({ authorize: () => decision })
      const [expected, refused] = [await get(path), await get(path, {}, 'HEAD')]
      await Promise.all([expected.ended, refused.ended])
      expect([refused.status, refused.body]).toEqual([expected.status, ''])
      expect(ownHeaders(refused)).toEqual(ownHeaders(expected))
      // RFC 9110 8.6: a length in the response to HEAD is that of GET.
      expect([undefined, expected.headers['content-length']]).toContain(refused.headers['content-length'])
    })

    it('closes a stream for a client that it refuses later', async () => {
      let isAllowed = true
      const { streams, get } = await open({ authorize: () => isAllowed })
      const client = await get()
      await client.until('hello')
      const [stream] = streams as [SseStream]
      expect(await stream.reauthorize()).toBe(true)
      isAllowed = false
      const end = closed(stream)
      expect(await stream.reauthorize()).toBe(false)
      expect(await client.ended).toBe('end')
      expect(await end).toMatchObject({ reason: 'unauthorized' })
      expect((await get()).status).toBe(403)
    })

    it('decides by rights from after reauthorize, which is called while it is pending', async () => {
      const [asked, decision] = [deferred<SseStream>(), deferred<void>()]
      let isAllowed = true
      const { streams, get } = await open({
        authorize: async (stream) => {
          const decided = isAllowed
          asked.resolve(stream)
          await decision.promise
          return decided
        },
      })
      const response = get()
      const stream = await asked.promise
      isAllowed = false
      const result = stream.reauthorize()
      decision.resolve()
      expect(await result).toBe(false)
      expect((await response).status).toBe(403)
      expect(streams).toEqual([])
    })

    it('is called at the interval of reauthorize', async () => {
      let calls = 0
      const { get } = await open({
        authorize: () => ++calls < 3 || { retry: 9_000 },
        reauthorize: 100,
      })
      const client = await get()
      expect(await client.ended).toBe('end')
      expect(Number(/retry: (\d+)\n*$/.exec(client.body)?.[1])).toBeGreaterThanOrEqual(9_000)
      expect(calls).toBe(3)
    })

    it('sends a client nothing before its decision, neither missed events nor a heartbeat', async () => {
      const decision = deferred<boolean>()
      const replayed: unknown[] = []
      const { streams, get } = await open({
        authorize: ({ lastEventId }) => lastEventId === undefined || decision.promise,
        replay: (id) => {
          replayed.push(id)
          return [{ data: 'secret' }]
        },
        heartbeat: 100,
      })
      const witness = await get()
      const pending = get('/stream', { 'last-event-id': '7' })
      await expect.poll(() => witness.body.match(/^:\n/gm)?.length, { timeout: 10_000 }).toBeGreaterThan(4)
      decision.resolve(false)
      const client = await pending
      expect(await client.ended).toBe('end')
      expect([client.status, client.body, replayed, streams.length]).toEqual([403, '', [], 1])
    })

    it('sends a client the missed events after its decision', async () => {
      const { get } = await open({ authorize: async () => true, replay: () => [{ data: 'missed' }] })
      const client = await get('/stream', { 'last-event-id': '7' })
      await client.until('hello')
      expect(client.body).toMatch(/data: missed\n\ndata: hello\n\n$/)
    })

    it('sends its own events only if it admits the client', async () => {
      const users = ['ada', undefined]
      const { get } = await open({
        authorize: async (stream) => {
          stream.send({ data: 'early' })
          await nextTurn()
          await nextTurn()
          return users.shift() !== undefined
        },
      })
      const admitted = await get()
      await admitted.until('hello')
      expect(admitted.body).toMatch(/data: early\n\ndata: hello\n\n$/)
      const refused = await get()
      expect(await refused.ended).toBe('end')
      expect([refused.status, refused.body]).toEqual([403, ''])
    })

    it.each(['/stream', '/stream?format=json'])(
      'responds on %s with the end of a stream that it has closed itself',
      async (path) => {
        const { streams, get } = await open({
          authorize: async (stream) => {
            stream.send({ data: 'early' })
            stream.close()
            return true
          },
        })
        const client = await get(path)
        expect(await client.ended).toBe('end')
        expect([client.status, streams]).toEqual([200, []])
        expect(client.body).toContain('early')
      },
    )

    it.each(['/stream', '/stream?format=json'])(
      'ends the response on %s of a stream that it has destroyed itself',
      async (path) => {
        const ended = deferred<string>()
        const { streams, mounted } = await open({
          authorize: (stream) => {
            stream.once('close', ended.resolve)
            stream.destroy()
            return true
          },
        })
        // Some frameworks respond with an error, others cut the connection.
        await fetch(`http://127.0.0.1:${mounted.port}${path}`)
          .then((response) => response.text())
          .catch(() => {})
        expect([await ended.promise, streams]).toEqual(['server', []])
      },
    )

    it('is not followed by the handler if the client has disconnected meanwhile', async () => {
      const called = deferred<SseStream>()
      const decision = deferred<boolean>()
      const { mounted, streams } = await open({
        authorize: (stream) => {
          called.resolve(stream)
          return decision.promise
        },
      })
      const controller = new AbortController()
      const request = fetch(`http://127.0.0.1:${mounted.port}/stream`, { signal: controller.signal })
      const stream = await called.promise
      controller.abort()
      await expect(request).rejects.toThrow()
      const end = closed(stream)
      decision.resolve(true)
      await end
      expect(streams.filter(({ closed }) => !closed)).toEqual([])
    })
  })

  describe('expiresAt', () => {
    it('ends the stream after an event that announces it', async () => {
      const expiresAt = new Date(Date.now() + 1_000)
      const { streams, get } = await open({
        authorize: () => ({ expiresAt }),
        expiringNotice: 600,
      })
      const client = await get()
      await client.until('hello')
      const end = closed(streams[0] as SseStream)
      expect(streams[0]?.expiresAt).toEqual(expiresAt)
      expect(await client.ended).toBe('end')
      const left = Number(
        /event: expiring\ndata: \{"expiresAt":"[^"]+","expiresIn":(\d+)\}/.exec(client.body)?.[1],
      )
      expect(left).toBeLessThanOrEqual(600)
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime())
      expect(await end).toMatchObject({ reason: 'unauthorized' })
    })
  })

  describe('limits', () => {
    it('are checked after authorize and before the handler', async () => {
      const seen: unknown[] = []
      const limit = {
        reason: 'capacity' as const,
        admit(stream: SseStream) {
          seen.push(stream.context)
          return seen.length > 1 ? { status: 429, retryAfter: 1_500 } : undefined
        },
      }
      const { streams, get } = await open({
        authorize: () => ({ context: { userId: 'ada' } }),
        limits: limit,
      })
      const first = await get()
      await first.until('hello')
      const second = await get()
      expect(await second.ended).toBe('end')
      expect([second.status, second.headers['retry-after']]).toEqual([429, '2'])
      expect([seen, streams.length]).toEqual([[{ userId: 'ada' }, { userId: 'ada' }], 1])
    })
  })
}
