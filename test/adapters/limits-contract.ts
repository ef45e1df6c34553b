import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { StreamLimits } from '../../src/lifecycle/stream-limits.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { openRuns, PushSource } from '../support/runs.ts'
import type { AnyHandler } from './contract.ts'
import type { Mount, Send } from './formats-contract.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const POLL = '/stream?format=json'
const PATHS = ['/stream', '/stream?format=ndjson', POLL]

/** Tests how an adapter limits the number of streams. */
export function limitsContract(mount: Mount, send: Send): void {
  /** Mounts a route whose streams stay open. `streams` are those that its handler got. */
  async function open(options: SseHandlerOptions, subscribeTo: AnyHandler = () => {}) {
    const streams: SseStream[] = []
    const handler: AnyHandler = (stream, request) => {
      streams.push(stream)
      return subscribeTo(stream, request)
    }
    const mounted = await mount(handler, { ...FORMATS, ...options })
    const get = (path = '/stream', headers: Record<string, string> = {}) =>
      send(mounted, { path, headers, method: 'GET' })
    const until = (count: number) => expect.poll(() => streams.length, { interval: 10 }).toBe(count)
    return { mounted, streams, get, until }
  }

  describe('limits of streams', () => {
    it.each([
      ['/stream', /^:\nretry: (\d+)\n$/],
      ['/stream?format=ndjson', /^\{"retry":(\d+)\}\n$/],
      [POLL, /^\{"events":\[\],.*"retry":(\d+)/],
    ])('refuse a browser above them with a time to reconnect, on %s', async (path, body) => {
      const { mounted, streams, get } = await open({
        limits: new StreamLimits({ maxStreams: 2, retry: 5_000 }),
      })
      const held = [await get(), await get()]
      const refused = await get(path)
      expect(await refused.ended).toBe('end')
      expect(refused.status).toBe(200)
      const retry = Number(body.exec(refused.body)?.[1])
      expect(retry).toBeGreaterThanOrEqual(5_000)
      expect(retry).toBeLessThanOrEqual(10_000)
      expect(held.map(({ status }) => status)).toEqual([200, 200])
      expect(streams.map(({ closed }) => closed)).toEqual([false, false])
      expect(mounted.errors).toEqual([])
    })

    it.each(PATHS)('refuse a client with a response that no cache keeps, on %s', async (path) => {
      const headers = { 'Cache-Control': 'public, max-age=60' }
      const { get } = await open({ limits: new StreamLimits({ maxStreams: 1 }), headers })
      const held = await get()
      const refused = await get(path)
      expect(held.headers['cache-control']).toBe('public, max-age=60')
      expect(refused.headers['cache-control']).toMatch(/\bno-store\b/)
    })

    it('refuse a long poll with the cursor of its next request', async () => {
      const { get } = await open({ limits: new StreamLimits({ maxStreams: 1 }) })
      await get()
      const cursorOf = async (path: string, headers: Record<string, string> = {}) => {
        const refused = await get(path, headers)
        await refused.ended
        return JSON.parse(refused.body).lastEventId
      }
      expect(await cursorOf(POLL)).toBeNull()
      expect(await cursorOf(`${POLL}&lastEventId=a-7`)).toBe('a-7')
      expect(await cursorOf(POLL, { 'last-event-id': 'a-8' })).toBe('a-8')
    })

    it.each(PATHS)('refuse a program that prefers an error with a 503, on %s', async (path) => {
      const { streams, get } = await open({ limits: new StreamLimits({ maxStreams: 1, retry: 5_000 }) })
      await get()
      const refused = await get(path, { prefer: 'handling=strict' })
      expect(await refused.ended).toBe('end')
      expect([refused.status, refused.body]).toEqual([503, ''])
      expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(5)
      expect(streams).toHaveLength(1)
    })

    it.each(PATHS.slice(0, 2))('count a client on %s until it has disconnected', async (path) => {
      const limits = new StreamLimits({ maxStreams: 1 })
      const { get } = await open({ limits })
      const held = await get(path)
      expect(limits.size).toBe(1)
      expect((await get('/stream', { prefer: 'handling=strict' })).status).toBe(503)
      held.disconnect()
      await expect.poll(() => limits.size, { interval: 10 }).toBe(0)
      expect((await get()).status).toBe(200)
    })

    it('count a long poll while it is held', async () => {
      const limits = new StreamLimits({ maxStreams: 1 })
      const { streams, get, until } = await open({ limits })
      const poll = get(POLL)
      await until(1)
      expect(limits.size).toBe(1)
      expect((await get('/stream', { prefer: 'handling=strict' })).status).toBe(503)
      streams[0]?.send({ data: 'hello' })
      expect(await (await poll).ended).toBe('end')
      await expect.poll(() => limits.size, { interval: 10 }).toBe(0)
      expect((await get()).status).toBe(200)
    })

    it('count a subscriber of a run', async () => {
      const runs = openRuns()
      const source = new PushSource()
      await runs.start('a', (signal) => source.read(signal))
      const limits = new StreamLimits({ maxStreams: 1 })
      const { get, until } = await open({ limits }, (stream) => runs.subscribe(stream, 'a'))
      await get()
      await until(1)
      expect((await get('/stream', { prefer: 'handling=strict' })).status).toBe(503)
      await runs.stop('a')
      await expect.poll(() => limits.size, { interval: 10 }).toBe(0)
    })

    it('apply to each key, which is in the context that authorize has set', async () => {
      const limits = new StreamLimits({ maxPerKey: 1, key: ({ context }) => String(context.userId) })
      const { get } = await open({
        limits,
        authorize: async (stream) => {
          const { headers } = stream.request as { headers: Headers | Record<string, string> }
          const userId = headers instanceof Headers ? headers.get('x-user') : headers['x-user']
          return { context: { userId } }
        },
      })
      const statusOf = async (user: string) =>
        (await get('/stream', { 'x-user': user, prefer: 'handling=strict' })).status
      expect([await statusOf('ada'), await statusOf('ada'), await statusOf('bob')]).toEqual([200, 503, 200])
    })

    it('refuse a client if their key function throws, and report it', async () => {
      const errors: unknown[] = []
      const listener = (message: unknown) => void errors.push((message as { error: unknown }).error)
      subscribe('spillway:limit:error', listener)
      onTestFinished(() => void unsubscribe('spillway:limit:error', listener))
      const error = new Error('no user')
      const key = () => {
        throw error
      }
      const { mounted, streams, get } = await open({ limits: new StreamLimits({ maxPerKey: 9, key }) })
      const client = await get()
      expect(await client.ended).toBe('end')
      expect([client.status, client.body]).toEqual([200, expect.stringMatching(/^:\nretry: \d+\n$/)])
      expect([errors, streams, mounted.errors]).toEqual([[error], [], []])
    })

    it('of a hub refuse the client of a stream above maxStreams', async () => {
      const hub = new Hub({ maxStreams: 1 })
      const { get } = await open({}, (stream) => hub.subscribe(stream, 'news'))
      const held = await get()
      const refused = await get('/stream', { prefer: 'handling=strict' })
      expect([held.status, refused.status]).toEqual([200, 503])
      const browser = await get()
      expect(await browser.ended).toBe('end')
      expect([browser.status, browser.body]).toEqual([200, expect.stringMatching(/^:\nretry: \d+\n$/)])
      await expect.poll(() => hub.size, { interval: 10 }).toBe(1)
      held.disconnect()
      await expect.poll(() => hub.size, { interval: 10 }).toBe(0)
      expect((await get('/stream', { prefer: 'handling=strict' })).status).toBe(200)
    })

    it.each([
      [{ status: 503, retry: 5_000 }, 'not {status, retry}'],
      [{ status: '429' }, 'Option status must be'],
      [true, 'not true'],
      [false, 'not false'],
    ])('of an application pass an error about the refusal %j to the framework', async (refusal, message) => {
      const all = new StreamLimits({ maxStreams: 9 })
      const own = { reason: 'capacity' as const, admit: () => refusal as never }
      const { mounted, streams, get } = await open({ limits: [all, own] })
      const client = await get()
      await client.ended
      expect([client.status, streams]).toEqual([500, []])
      expect(mounted.errors).toEqual([
        expect.objectContaining({ code: 'ERR_SSE_OPTION', message: expect.stringContaining(message) }),
      ])
      await expect.poll(() => all.size, { interval: 10 }).toBe(0)
    })

    it('are checked in their order, and count nothing if a later one refuses', async () => {
      const [all, users] = [new StreamLimits({ maxStreams: 9 }), new StreamLimits({ maxStreams: 1 })]
      const { get } = await open({ limits: [all, users] })
      await get()
      await (await get()).ended
      await expect.poll(() => [all.size, users.size], { interval: 10 }).toEqual([1, 1])
    })
  })
}
