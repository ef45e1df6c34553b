import { getRequestListener } from '@hono/node-server'
import { describe, expect, it, vi } from 'vitest'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { ABORTABLE, type AbortableRequest } from '../clients/abortable.ts'
import { get } from '../support/client.ts'
import { deferred, type Handler, listen, serve } from '../support/serve.ts'
import { closed, settled } from '../support/streams.ts'

type Work = (stream: SseStream) => Promise<unknown>

/** Passes work that fails to a stream. Resolves with the result of the stream, if it has one. */
type Entry = (work: Work, opened: (stream: SseStream) => void, ended: (result: unknown) => void) => Handler

async function* yielding(stream: SseStream, work: Work) {
  yield { data: await work(stream) }
}

const entries: ReadonlyArray<readonly [name: string, entry: Entry]> = [
  [
    'sendAll of createSseStream',
    (work, opened, ended) => (request, response) => {
      const stream = createSseStream(request, response)
      opened(stream)
      void stream.sendAll(yielding(stream, work)).then(ended, ended)
    },
  ],
  [
    'a generator of createSseResponse',
    (work, opened) =>
      getRequestListener((request) =>
        createSseResponse(request, (stream) => {
          opened(stream)
          return yielding(stream, work)
        }),
      ),
  ],
  [
    'an async function of createSseResponse',
    (work, opened) =>
      getRequestListener((request) =>
        createSseResponse(request, async (stream) => {
          opened(stream)
          await work(stream)
        }),
      ),
  ],
]

/** Serves an upstream that never completes a response. */
async function servePendingUpstream() {
  const asked = deferred<void>()
  const { url } = await serve((request, response) => {
    if (request.url?.includes('begin')) response.write('begun')
    asked.resolve()
  })
  return { url, asked: asked.promise }
}

describe.each(entries)('%s', (name, entry) => {
  it.each(ABORTABLE)(
    'is not reported when the disconnect of the client aborts %s (rule 41)',
    async (_client, ask: AbortableRequest) => {
      const spies = (['error', 'warn'] as const).map((each) =>
        vi.spyOn(console, each).mockImplementation(() => {}),
      )
      const { url, asked } = await servePendingUpstream()
      const opened = deferred<SseStream>()
      const failed = deferred<unknown>()
      const ended = deferred<unknown>()
      const work: Work = (stream) =>
        ask(url, stream.signal).catch((error) => {
          failed.resolve(error)
          throw error
        })
      const { port } = await listen(entry(work, opened.resolve, ended.resolve))
      const client = await get('http', port)
      await asked
      const end = closed(await opened.promise)
      client.disconnect()
      expect(await failed.promise).toBeInstanceOf(Error)
      expect(await end).toEqual({ reason: 'client', error: undefined })
      if (name.startsWith('sendAll')) expect(await ended.promise).toBe(false)
      await settled()
      // Vitest fails the run for an unhandled rejection.
      for (const spy of spies) expect(spy.mock.calls.splice(0)).toEqual([])
    },
  )
})
