import { describe, expect, it } from 'vitest'
import type { Runs } from '../../src/runs/runs.ts'
import { memoryRuns } from '../../src/stores/memory/memory-runs.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { Client } from '../support/client.ts'
import { eventsOf, parseEvents } from '../support/parse.ts'
import { openRuns, PushSource, text } from '../support/runs.ts'
import { deferred } from '../support/serve.ts'
import { SlowRuns } from '../support/slow-runs.ts'
import { closed, settled } from '../support/streams.ts'
import type { AnyHandler, Mounted } from './contract.ts'
import type { Mount, Send } from './formats-contract.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const ORIGIN = { 'Access-Control-Allow-Origin': 'https://app.example.com' }
const POLL = '/stream?format=json'
const DONE = 'end {"reason":"done"}'

const stores = [
  ['in memory', memoryRuns],
  ['that responds later', () => new SlowRuns()],
] as const

type Subscribe = (runs: Runs, stream: SseStream, id: string) => unknown

const subscriptions: ReadonlyArray<readonly [name: string, subscribe: Subscribe]> = [
  ['that returns the promise of subscribe', (runs, stream, id) => runs.subscribe(stream, id)],
  ['that returns nothing', (runs, stream, id) => void runs.subscribe(stream, id)],
  [
    'that awaits the run, and then goes on',
    async (runs, stream, id) => {
      await runs.subscribe(stream, id)
      if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
    },
  ],
  [
    'that never finishes',
    async (runs, stream, id) => {
      await runs.subscribe(stream, id)
      await new Promise(() => {})
    },
  ],
]

/** Tests the runs of an adapter: a POST starts one, and a GET subscribes to it. */
export function runsContract(mount: Mount, send: Send): void {
  describe.each(stores)('a run in a store %s', (_store, openStore) => {
    /** Mounts a route that subscribes to the run `a`, which a test feeds. */
    async function open(subscribe: Subscribe = (runs, stream, id) => runs.subscribe(stream, id)) {
      const runs = openRuns({ store: openStore() })
      const source = new PushSource()
      const streams: SseStream[] = []
      const mountRoute = (id: string, options: object = {}) =>
        mount(
          (stream) => {
            streams.push(stream)
            return subscribe(runs, stream, id)
          },
          { ...FORMATS, headers: ORIGIN, ...options },
        )
      const start = () => runs.start('a', (signal) => source.read(signal))
      return { runs, source, streams, start, mountRoute, mounted: await mountRoute('a') }
    }

    /** Starts a run that has yielded `a` and `b`, and has ended. `ids` are those of its events. */
    async function finished(subscribe?: Subscribe) {
      const opened = await open(subscribe)
      const run = await opened.start()
      opened.source.push(text('a'), text('b'))
      opened.source.end()
      await run.whenEnded()
      const client = await send(opened.mounted, {})
      expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text a', 'text b', DONE]])
      return { ...opened, ids: parseEvents(client.body).map(({ id }) => id ?? '') }
    }

    it('streams to the client of the POST that has started it, and ends', async () => {
      const { runs, source } = await open()
      const route: AnyHandler = async (stream, request) => {
        const id = await request.body()
        const run = await runs.start(id, (signal) => source.read(signal))
        await run.subscribe(stream)
      }
      const mounted = await mount(route, {})
      const client = await send(mounted, { method: 'POST', headers: TEXT, body: 'a' })
      source.push(text('a'))
      await client.until('data: a\n\n')
      source.end()
      expect([client.status, await client.ended, eventsOf(client)]).toEqual([200, 'end', ['text a', DONE]])
    })

    it('streams from its beginning to each GET, and then live', async () => {
      const { source, start, mounted } = await open()
      await start()
      source.push(text('a'), text('b'))
      const first = await send(mounted, {})
      await first.until('data: b\n\n')
      const second = await send(mounted, {})
      await second.until('data: b\n\n')
      source.push(text('c'))
      source.end()
      for (const client of [first, second])
        expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text a', 'text b', 'text c', DONE]])
    })

    it('continues when its clients disconnect, and is resumed after the last event id', async () => {
      const { runs, source, streams, start, mounted } = await open()
      await start()
      source.push(text('a'))
      const client = await send(mounted, {})
      await client.until('data: a\n\n')
      const end = closed(streams[0] as SseStream)
      client.disconnect()
      expect(await end).toMatchObject({ reason: 'client' })
      expect([runs.running, source.isClosed]).toEqual([1, false])
      source.push(text('b'))
      const id = parseEvents(client.body)[0]?.id ?? ''
      const byHeader = await send(mounted, { headers: { 'last-event-id': id } })
      const byQuery = await send(mounted, { path: `/stream?lastEventId=${id}` })
      source.push(text('c'))
      source.end()
      for (const resumed of [byHeader, byQuery])
        expect([await resumed.ended, eventsOf(resumed)]).toEqual(['end', ['text b', 'text c', DONE]])
    })

    it('reports to its clients that it was stopped', async () => {
      const { runs, source, start, mounted } = await open()
      await start()
      source.push(text('a'))
      const client = await send(mounted, {})
      await client.until('data: a\n\n')
      expect([await runs.stop('a'), source.isClosed]).toEqual([true, true])
      expect(await client.ended).toBe('end')
      expect(eventsOf(client)).toEqual(['text a', 'end {"reason":"stopped"}'])
    })

    it('ends the stream of a client that disconnects before it was found', async () => {
      const { runs, mounted, streams, start } = await open()
      await start()
      // A poll has no response headers before its events.
      const aborted = new AbortController()
      const request = fetch(`http://127.0.0.1:${mounted.port}${POLL}`, { signal: aborted.signal })
      await expect.poll(() => streams.length).toBe(1)
      const end = closed(streams[0] as SseStream)
      aborted.abort()
      await expect(request).rejects.toThrow()
      expect(await end).toMatchObject({ reason: 'client' })
      await expect.poll(() => runs.size).toBe(0)
    })

    it('reports a failure of the store by a cut, so that the client reconnects', async () => {
      const { runs, mounted } = await open()
      const error = new Error('secret of the store')
      const store = openStore()
      store.find = () => Promise.reject(error)
      const failing = openRuns({ store })
      const streams: SseStream[] = []
      const route = await mount((stream) => {
        streams.push(stream)
        return failing.subscribe(stream, 'a')
      }, FORMATS)
      const client = await send(route, {}).catch(() => undefined)
      await client?.ended
      expect(streams[0]).toMatchObject({ closed: true, closeReason: 'error' })
      expect(client?.body ?? '').not.toContain('secret')
      expect([runs.size, mounted.errors]).toEqual([0, []])
    })

    describe.each(subscriptions)('by a handler %s', (_handler, subscribe) => {
      it('responds with 204 to a client that has everything, in each format', async () => {
        const { mounted, ids, runs } = await finished(subscribe)
        const id = ids.at(-1) ?? ''
        for (const format of FORMATS.formats) {
          const path = `/stream?format=${format}`
          await expectRefused(await send(mounted, { path: `${path}&lastEventId=${id}` }), 204)
          await expectRefused(await send(mounted, { path, headers: { 'last-event-id': id } }), 204)
        }
        await expect.poll(() => runs.size).toBe(0)
      })

      it('responds with 404 for a run that does not exist, in each format', async () => {
        const { mountRoute, runs, mounted } = await open(subscribe)
        for (const id of ['none', 'x'.repeat(1_000)]) {
          const route = await mountRoute(id)
          for (const format of FORMATS.formats) {
            const path = `/stream?format=${format}`
            await expectRefused(await send(route, { path }), 404)
            await expectRefused(await send(route, { path: `${path}&lastEventId=a-1` }), 404)
          }
        }
        expect([runs.size, mounted.errors]).toEqual([0, []])
      })

      it('streams the rest of a run that has ended', async () => {
        const { mounted, ids } = await finished(subscribe)
        const client = await send(mounted, { headers: { 'last-event-id': ids[0] ?? '' } })
        expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text b', DONE]])
      })
    })

    it('delays the response headers for maxHeaderDelay and the decision', async () => {
      const { mountRoute } = await open(async (runs, stream, id) => {
        await settled()
        await runs.subscribe(stream, id)
      })
      await expectRefused(await send(await mountRoute('none', { maxHeaderDelay: 60_000 }), {}), 404)
    })

    it('streams NDJSON', async () => {
      const { mounted, ids } = await finished()
      const client = await send(mounted, { path: '/stream?format=ndjson' })
      expect(await client.ended).toBe('end')
      const lines = client.body.split('\n').filter((line) => line.includes('"event"'))
      expect(lines).toEqual([
        `{"event":"text","id":"${ids[0]}","data":"a"}`,
        `{"event":"text","id":"${ids[1]}","data":"b"}`,
        `{"event":"end","id":"${ids[2]}","data":{"reason":"done"}}`,
      ])
    })

    it('is sent in pages to a client that polls, until it has everything', async () => {
      const { source, start, mountRoute } = await open()
      const run = await start()
      const all = ['a', 'b', 'c', 'd', 'e'].map((letter) => letter.repeat(20_000))
      source.push(...all.map(text))
      source.end()
      await run.whenEnded()
      const route = await mountRoute('a', { longPoll: { pageSize: 2 } })
      const pages = [await poll(route)]
      while (pages.at(-1)?.events.at(-1)?.event !== 'end')
        pages.push(await poll(route, `&lastEventId=${pages.at(-1)?.lastEventId}`))
      expect(pages.length).toBeGreaterThan(1)
      expect(pages[0]?.retry).toBe(0)
      expect(pages.flatMap(({ events }) => events.map(({ data }) => data))).toEqual([
        ...all,
        { reason: 'done' },
      ])
      await expectRefused(
        await send(route, { path: `${POLL}&lastEventId=${pages.at(-1)?.lastEventId}` }),
        204,
      )
    })

    it('holds a poll until its next event', async () => {
      const subscribed = deferred<void>()
      const { source, start, mounted } = await open(async (runs, stream, id) => {
        await runs.subscribe(stream, id)
        subscribed.resolve()
      })
      await start()
      const held = poll(mounted)
      await subscribed.promise
      source.push(text('a'))
      const { events, lastEventId } = await held
      expect(events).toEqual([{ event: 'text', id: lastEventId, data: 'a' }])
      const next = poll(mounted, `&lastEventId=${lastEventId}`)
      source.push(text('b'))
      source.end()
      expect((await next).events[0]).toMatchObject({ event: 'text', data: 'b' })
    })

    /** Expects a response without events, which no cache may keep and which a page of another origin may read. */
    async function expectRefused(client: Client, status: number) {
      expect([await client.ended, client.status, client.body]).toEqual(['end', status, ''])
      expect(client.headers).toMatchObject({
        'cache-control': 'no-store',
        'access-control-allow-origin': ORIGIN['Access-Control-Allow-Origin'],
      })
      expect(client.headers['content-type'] ?? '').not.toContain('event-stream')
    }

    async function poll(mounted: Mounted, query = '') {
      const client = await send(mounted, { path: `${POLL}${query}` })
      expect([await client.ended, client.status]).toEqual(['end', 200])
      return JSON.parse(client.body) as Page
    }
  })
}

interface Page {
  readonly events: ReadonlyArray<{ readonly event: string; readonly id: string; readonly data: unknown }>
  readonly lastEventId: string
  readonly retry: number
}

const TEXT = { 'content-type': 'text/plain' }
