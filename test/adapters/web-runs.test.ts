import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import type { Runs } from '../../src/runs/runs.ts'
import { memoryRuns } from '../../src/stores/memory/memory-runs.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { parseEvents } from '../support/parse.ts'
import { openRuns, PushSource } from '../support/runs.ts'
import { SlowRuns } from '../support/slow-runs.ts'
import { closed, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'
const FORMATS = { formats: ['event-stream', 'json'] } as const
const DONE = { event: 'end', data: '{"reason":"done"}' }

/** Returns a run `a` that has yielded `a` and has ended, and the id of its last event. */
async function finished(runs: Runs): Promise<string> {
  const run = await runs.start('a', () => ['a'])
  await run.whenEnded()
  const response = await sse((stream) => run.subscribe(stream))(new Request(PATH))
  return parseEvents(await response.text()).at(-1)?.id ?? ''
}

describe('a stream of spillway/web whose run is still being looked up', () => {
  function held() {
    const store = new SlowRuns()
    return { release: store.hold(), runs: openRuns({ store }) }
  }

  /** Opens a stream whose handler calls a function first, and may return its promise or never finish. */
  async function open(runs: Runs, request: Request, handle: (subscribed: Promise<void>) => unknown) {
    const opened = deferred<SseStream>()
    const respond = sse((stream) => {
      opened.resolve(stream as SseStream)
      return handle(runs.subscribe(stream, 'a')) as never
    }, FORMATS)
    return { response: respond(request), stream: await opened.promise }
  }

  it.each(['event-stream', 'json'])('is closed when its client disconnects, as %s', async (format) => {
    const { runs, release } = held()
    await runs.start('a', (signal) => new PushSource().read(signal))
    const controller = new AbortController()
    const request = new Request(`${PATH}?format=${format}`, controller)
    const { stream, response } = await open(runs, request, (subscribed) => subscribed)
    await settled()
    const end = closed(stream)
    controller.abort()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    release()
    await response
    await settled()
    expect(runs.size).toBe(0)
    expect(getEventListeners(request.signal, 'abort')).toEqual([])
  })

  it('responds with its first event', async () => {
    const { runs } = held()
    const { stream, response } = await open(runs, new Request(PATH), (subscribed) => subscribed)
    await settled()
    stream.send({ data: 'hello' })
    const { status, body } = await response
    expect(status).toBe(200)
    stream.destroy()
    await expect(body?.getReader().closed).rejects.toThrow('destroyed')
  })

  it('responds with 404 to a poll whose handler never finishes', async () => {
    const { runs, release } = held()
    const request = new Request(`${PATH}?format=json`)
    const { response } = await open(runs, request, () => new Promise(() => {}))
    release()
    expect((await response).status).toBe(404)
  })

  it('responds with 503 to a poll whose store fails and whose handler never finishes', async () => {
    const store = memoryRuns()
    store.find = () => Promise.reject(new Error('secret of the store'))
    const runs = openRuns({ store })
    const request = new Request(`${PATH}?format=json`)
    const { response } = await open(runs, request, () => new Promise(() => {}))
    const { status, body } = await response
    expect([status, body]).toEqual([503, null])
  })
})

describe.each([
  ['in memory', memoryRuns],
  ['that responds later', () => new SlowRuns()],
])('createSseResponse, whose headers are sent, with a run in a store %s', (_store, openStore) => {
  const open = (runs: Runs, query = '') =>
    createSseResponse(new Request(PATH + query), (stream) => runs.subscribe(stream, 'a'), FORMATS)

  it('sends the end again to a client that has everything', async () => {
    const runs = openRuns({ store: openStore() })
    const id = await finished(runs)
    const response = open(runs, `?lastEventId=${id}`)
    expect(response.status).toBe(200)
    expect(parseEvents(await response.text())).toMatchObject([{ ...DONE, id }])
    const { events } = (await open(runs, `?format=json&lastEventId=${id}`).json()) as { events: unknown[] }
    expect(events).toEqual([{ event: 'end', id, data: { reason: 'done' } }])
  })

  it('sends a gap for a run that does not exist', async () => {
    const runs = openRuns({ store: openStore() })
    const gap = { event: 'gap', data: '{"reason":"unknown"}' }
    expect(parseEvents(await open(runs).text())).toMatchObject([gap])
    const { events } = (await open(runs, '?format=json').json()) as { events: unknown[] }
    expect(events).toMatchObject([{ event: 'gap', data: { reason: 'unknown' } }])
  })

  it('ends the body when its client disconnects', async () => {
    const runs = openRuns({ store: openStore() })
    await runs.start('a', (signal) => new PushSource().read(signal))
    for (const query of ['', '?format=json']) {
      await open(runs, query).body?.cancel()
      await settled()
      expect(runs.size).toBe(0)
    }
  })
})
