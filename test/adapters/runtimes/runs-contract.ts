import { describe, expect, it } from 'vitest'
import { type Client, type Get, get } from '../../support/client.ts'
import { eventsOf, parseEvents } from '../../support/parse.ts'
import type { Running } from './runtime.ts'

const FORMATS = ['event-stream', 'ndjson', 'json']
const DONE = 'end {"reason":"done"}'

let count = 0

/** Tests runs as `../runs-contract.ts` does, in the process of a runtime. */
export function runtimeRunsContract(server: () => Running): void {
  /** Sends a request to a handler. `query` is added to its URL. */
  async function open(handler: string, query: string, ask: Get = {}) {
    const key = `run-${++count}`
    const path = `/stream/${handler}?key=${key}${query}`
    const client = await get('http', server().port, { path, ...ask })
    return Object.assign(client, { key })
  }

  /** Returns what a test does with a run that has a new id. */
  function newRun() {
    const id = `r${++count}`
    const order = (what: string, text = '') => server().order(what, id, text)
    return {
      id,
      order,
      start: () => order('run-start'),
      yields: async (...texts: string[]) => {
        for (const each of texts) await order('run-yield', each)
      },
      end: () => order('run-end'),
      get: (query = '', headers: Record<string, string> = {}, handler = 'run') =>
        open(handler, `&run=${id}${query}`, { headers }),
    }
  }

  /** Returns a run that has yielded `a` and `b`, and has ended, with the ids of its events. */
  async function finished() {
    const run = newRun()
    await run.start()
    await run.yields('a', 'b')
    expect(await run.end()).toBe('done')
    const client = await run.get()
    expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text a', 'text b', DONE]])
    return { ...run, ids: parseEvents(client.body).map(({ id = '' }) => id) }
  }

  describe('a run', () => {
    it('streams to the client of the POST that has started it, and ends', async () => {
      const run = newRun()
      const client = await open('start-run', '', { method: 'POST', body: run.id })
      await expect.poll(() => run.order('run-state')).toMatchObject({ isClosed: false })
      await run.yields('a')
      await client.until('data: a\n\n')
      await run.end()
      expect([client.status, await client.ended, eventsOf(client)]).toEqual([200, 'end', ['text a', DONE]])
    })

    it('streams from its beginning to each GET, and then live', async () => {
      const run = newRun()
      await run.start()
      await run.yields('a', 'b')
      const first = await run.get()
      await first.until('data: b\n\n')
      const second = await run.get()
      await second.until('data: b\n\n')
      await run.yields('c')
      await run.end()
      for (const client of [first, second])
        expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text a', 'text b', 'text c', DONE]])
    })

    it('continues when its clients disconnect, and is resumed after the last event id', async () => {
      const run = newRun()
      await run.start()
      await run.yields('a')
      const client = await run.get()
      await client.until('data: a\n\n')
      client.disconnect()
      expect(await server().report({ closed: client.key })).toMatchObject({ reason: 'client' })
      expect(await run.order('run-state')).toEqual({ size: 0, isClosed: false })
      await run.yields('b')
      const id = parseEvents(client.body)[0]?.id ?? ''
      const resumed = [await run.get('', { 'last-event-id': id }), await run.get(`&lastEventId=${id}`)]
      await run.yields('c')
      await run.end()
      for (const each of resumed)
        expect([await each.ended, eventsOf(each)]).toEqual(['end', ['text b', 'text c', DONE]])
    })

    it('reports to its clients that it was stopped, after its source was closed', async () => {
      const run = newRun()
      await run.start()
      await run.yields('a')
      const client = await run.get()
      await client.until('data: a\n\n')
      expect(await run.order('run-stop')).toEqual([true, true])
      expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text a', 'end {"reason":"stopped"}']])
    })

    it.each(['run', 'run-unawaited'])(
      'responds with 204 to a client that has everything, and with 404 if there is none, to %s',
      async (handler) => {
        const { ids, get } = await finished()
        const id = ids.at(-1) ?? ''
        for (const format of FORMATS) {
          const query = `&format=${format}`
          await expectRefused(await get(`${query}&lastEventId=${id}`, {}, handler), 204)
          await expectRefused(await get(query, { 'last-event-id': id }, handler), 204)
          await expectRefused(await newRun().get(query, {}, handler), 404)
          await expectRefused(await newRun().get(`${query}&lastEventId=${id}`, {}, handler), 404)
        }
      },
    )

    it('streams the rest after it has ended', async () => {
      const { ids, get } = await finished()
      const client = await get('', { 'last-event-id': ids[0] ?? '' })
      expect([await client.ended, eventsOf(client)]).toEqual(['end', ['text b', DONE]])
    })

    it('streams NDJSON', async () => {
      const { ids, get } = await finished()
      const client = await get('&format=ndjson')
      expect(await client.ended).toBe('end')
      expect(client.body.split('\n').filter((line) => line.includes('"event"'))).toEqual([
        `{"event":"text","id":"${ids[0]}","data":"a"}`,
        `{"event":"text","id":"${ids[1]}","data":"b"}`,
        `{"event":"end","id":"${ids[2]}","data":{"reason":"done"}}`,
      ])
    })

    it('is sent in pages to a client that polls, which are held until the next event', async () => {
      const run = newRun()
      await run.start()
      await run.yields('a', 'b', 'c')
      const texts: unknown[] = []
      let position = ''
      while (texts.length < 3) {
        const page = await poll(await run.get(`&format=json${position}`))
        texts.push(...page.events.map(({ data }) => data))
        position = `&lastEventId=${page.lastEventId}`
      }
      expect(texts).toEqual(['a', 'b', 'c'])
      const held = run.get(`&format=json${position}`)
      await expect.poll(() => run.order('run-state')).toMatchObject({ size: 1 })
      await run.yields('d')
      const { events, lastEventId } = await poll(await held)
      expect(events).toEqual([{ event: 'text', id: lastEventId, data: 'd' }])
      await run.end()
      const end = await poll(await run.get(`&format=json&lastEventId=${lastEventId}`))
      expect(end.events).toMatchObject([{ event: 'end', data: { reason: 'done' } }])
      await expectRefused(await run.get(`&format=json&lastEventId=${end.lastEventId}`), 204)
    })
  })
}

/** Expects a response without events, which no cache may keep and which a page of another origin may read. */
async function expectRefused(client: Client, status: number) {
  expect([await client.ended, client.status, client.body]).toEqual(['end', status, ''])
  expect(client.headers).toMatchObject({
    'cache-control': 'no-store',
    'access-control-allow-origin': 'https://app.example.com',
  })
  expect(client.headers['content-type'] ?? '').not.toContain('event-stream')
}

interface Page {
  readonly events: ReadonlyArray<{ readonly event: string; readonly id: string; readonly data: unknown }>
  readonly lastEventId: string
}

async function poll(client: Client): Promise<Page> {
  expect([await client.ended, client.status]).toEqual(['end', 200])
  return JSON.parse(client.body)
}
