import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { parseEvents } from '../../src/formats/parse-events.ts'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { ABORTABLE } from '../clients/abortable.ts'
import { eventsFor, SDKS, TEXT } from '../clients/sdks.ts'
import { type Client, type Get, rawClient } from '../support/client.ts'
import { parseEvents as parseBody } from '../support/parse.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn, settled } from '../support/streams.ts'
import type { AdapterUnderTest, AnyHandler, Mounted } from './contract.ts'

type Open = (
  handler: AnyHandler,
  request?: Get,
  options?: SseHandlerOptions,
) => Promise<{ client: Client; errors: readonly unknown[] }>

type Mount = (handler: AnyHandler, options?: SseHandlerOptions) => Promise<Mounted>

/** Tests how the handler of an adapter calls an upstream, for example a language model. */
export function upstreamContract(
  { cutsBody, patchesFetch }: AdapterUnderTest,
  open: Open,
  mount: Mount,
): void {
  // Long enough that a test would time out before it.
  const waits = { maxHeaderDelay: 600_000 }

  describe('an SDK', () => {
    it('reads the stream (rule 18)', async () => {
      const { port } = await mount(async (_stream, request) => eventsFor(JSON.parse(await request.body())))
      for (const { name, read } of SDKS) {
        let text = ''
        // The SDK appends its path, which becomes the query.
        for await (const each of read(`http://127.0.0.1:${port}/stream?path=`)) text += each
        expect([name, text]).toEqual([name, TEXT.join('')])
      }
    })
  })

  // Next replaces `fetch`. Without a signal, it copies the response, and keeps the copy open when the body is
  // cancelled. When the body fails, the collection of the copy causes an unhandled rejection.
  const initOf = (stream: SseStream) => (patchesFetch ? { signal: stream.signal } : {})

  describe('an upstream', () => {
    it('is sent on with parseEvents, and ends the stream', async () => {
      const body = 'retry: 1\n\nid: 1\nevent: é\ndata: a\ndata: b\n\n: comment\n\ndata: [DONE]\n\n'
      const url = await upstreamOf((_request, response) => response.end(body))
      const { client, errors } = await open(async (stream) =>
        parseEvents(await fetch(url, { signal: stream.signal })),
      )
      expect(await client.ended).toBe('end')
      expect(parseBody(client.body)).toEqual(parseBody(body))
      expect(errors).toEqual([])
    })

    it('is closed when the client disconnects during a pending read (rule 34)', async () => {
      const isClosed = deferred<void>()
      const url = await upstreamOf((_request, response) => {
        response.once('close', isClosed.resolve).write('data: 1\n\n')
      })
      const { client, errors } = await open(async (stream) => parseEvents(await fetch(url, initOf(stream))))
      await client.until('data: 1\n\n')
      client.disconnect()
      await isClosed.promise
      await settled()
      expect(errors).toEqual([])
    })

    it.each<[string, (response: Response, stream: SseStream) => unknown]>([
      ['returns its body', ({ body }) => body],
      ['returns it', (response) => response],
      ['sends its body with sendAll', ({ body }, stream) => stream.sendAll(body as never)],
      ['sends it with sendAll', (response, stream) => stream.sendAll(response as never)],
      [
        'yields the chunks of its body',
        async function* ({ body }) {
          yield* body as AsyncIterable<Uint8Array>
        },
      ],
    ])('without parseEvents causes an error that names it when a handler %s', async (_how, use) => {
      const url = await upstreamOf((_request, response) => response.end('data: 1\n\n'))
      const { client, errors } = await open(async (stream) => use(await fetch(url), stream))
      await client.ended
      expect(client.body).not.toContain('data:')
      expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('parseEvents(') })])
    })

    it('that fails later destroys the stream', async () => {
      const ready = deferred<void>()
      const url = await upstreamOf(async (_request, response) => {
        response.write('data: 1\n\n')
        await ready.promise
        response.destroy()
      })
      const { client, errors } = await open(async (stream) => parseEvents(await fetch(url, initOf(stream))))
      await client.until('data: 1\n\n')
      ready.resolve()
      expect(await client.ended).toBe(cutsBody ? 'cut' : 'end')
      await expect.poll(() => errors).toHaveLength(1)
    })
  })

  describe('with maxHeaderDelay', () => {
    it('passes on the status, the headers and the body of an upstream before the first event', async () => {
      const url = await upstreamOf((_request, response) => {
        response.writeHead(429, { 'Retry-After': '7' }).end('slow down')
      })
      const end = deferred<unknown>()
      const { client, errors } = await open(
        async (stream, request) => {
          void closed(stream).then(end.resolve)
          const upstream = await fetch(url, { signal: stream.signal })
          if (upstream.ok) return parseEvents(upstream)
          const headers = { 'Retry-After': upstream.headers.get('Retry-After') ?? '' }
          return request.respond(upstream.status, headers, { error: await upstream.text() })
        },
        {},
        waits,
      )
      expect(await client.ended).toBe('end')
      expect([client.status, client.headers['retry-after']]).toEqual([429, '7'])
      expect(client.headers['content-type']).toMatch(/^application\/json/)
      expect(JSON.parse(client.body)).toEqual({ error: 'slow down' })
      expect(await end.promise).toEqual({ reason: 'server', error: undefined })
      expect(errors).toEqual([])
    })

    it.each<[string, AnyHandler]>([
      [
        'an event of an upstream',
        async (stream) => {
          const url = await upstreamOf((_request, response) => void response.write('data: 1\n\n'))
          return parseEvents(await fetch(url, { signal: stream.signal }))
        },
      ],
      [
        'an event that the handler sends',
        async (stream) => {
          await nextTurn()
          stream.send({ data: 1 })
          await closed(stream)
        },
      ],
    ])('sends the headers with %s', async (_what, handler) => {
      const { client } = await open(handler, {}, waits)
      expect(client.status).toBe(200)
      await client.until((body) => /^:\nretry: \d+\n: heartbeat \d+\ndata: 1\n\n$/.test(body))
    })

    it('sends the headers when the handler has finished, and keeps the stream open', async () => {
      const opened = deferred<SseStream>()
      const handler = async (stream: SseStream) => {
        await nextTurn()
        opened.resolve(stream)
      }
      const { client } = await open(handler, {}, waits)
      expect(client.status).toBe(200)
      const stream = await opened.promise
      stream.send({ data: 'later' })
      await client.until('data: later\n\n')
    })

    it('sends the headers after maxHeaderDelay', async () => {
      const { client } = await open(() => new Promise(() => {}), {}, { maxHeaderDelay: 1 })
      expect(client.status).toBe(200)
      await client.until(':\n')
    })

    it('passes an error before the first event to the framework', async () => {
      const { client, errors } = await open(
        // biome-ignore lint/correctness/useYield: it throws before its first yield.
        async function* () {
          await delay(1)
          throw new Error('of the handler')
        },
        {},
        waits,
      )
      await client.ended
      expect(client.status).toBe(500)
      expect(errors).toEqual([expect.objectContaining({ message: 'of the handler' })])
    })

    it('aborts the signal when the client disconnects before the headers are sent (rules 34, 41)', async () => {
      const asked = deferred<void>()
      const isClosed = deferred<void>()
      const url = await upstreamOf((_request, response) => {
        response.once('close', isClosed.resolve)
        asked.resolve()
      })
      const end = deferred<unknown>()
      const { port, errors } = await mount(async (stream) => {
        void closed(stream).then(end.resolve)
        return parseEvents(await fetch(url, { signal: stream.signal }))
      }, waits)
      const client = rawClient(
        port,
        'GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n'.replace('localhost', `127.0.0.1:${port}`),
      )
      await asked.promise
      client.disconnect()
      await isClosed.promise
      expect(await end.promise).toEqual({ reason: 'client', error: undefined })
      await settled()
      expect([client.body, errors]).toEqual(['', []])
    })
  })

  describe('a handler that fails because its client disconnects', () => {
    const forms: ReadonlyArray<
      [form: string, handlerOf: (work: (stream: SseStream) => Promise<unknown>) => AnyHandler]
    > = [
      ['an async function', (work) => async (stream) => void (await work(stream))],
      [
        'a generator',
        (work) =>
          async function* (stream) {
            yield { data: await work(stream) }
          },
      ],
    ]

    it.each(
      ABORTABLE.flatMap(([client, ask]) =>
        forms.map(([form, handlerOf]) => ({ client, ask, form, handlerOf })),
      ),
    )('is not reported: $client in $form (rule 41)', async ({ ask, handlerOf }) => {
      const printed = ['error', 'warn'] as const
      const spies = printed.map((name) => vi.spyOn(console, name).mockImplementation(() => {}))
      const asked = deferred<void>()
      const url = await upstreamOf((request, response) => {
        if (request.url?.includes('begin')) response.write('begun')
        asked.resolve()
      })
      const failed = deferred<unknown>()
      const work = async (stream: SseStream) => {
        try {
          return await ask(url, stream.signal)
        } catch (error) {
          failed.resolve(error)
          throw error
        }
      }
      const { client, errors } = await open(handlerOf(work))
      await asked.promise
      client.disconnect()
      expect(await failed.promise).toBeInstanceOf(Error)
      await settled()
      expect(errors).toEqual([])
      // Vitest fails the run for an unhandled rejection.
      for (const spy of spies) expect(spy.mock.calls.splice(0)).toEqual([])
    })

    it('is reported if no signal of the stream was used', async () => {
      const opened = deferred<void>()
      const { client, errors } = await open(async (stream) => {
        const end = closed(stream)
        opened.resolve()
        await end
        throw new Error('unrelated')
      })
      await opened.promise
      client.disconnect()
      await expect.poll(() => errors).toEqual([expect.objectContaining({ message: 'unrelated' })])
    })

    it('is reported if the failure came before the disconnect', async () => {
      const ready = deferred<void>()
      const { client, errors } = await open(async ({ signal }) => {
        expect(signal.aborted).toBe(false)
        await ready.promise
        throw new Error('unrelated')
      })
      ready.resolve()
      await client.ended
      expect(errors).toEqual([expect.objectContaining({ message: 'unrelated' })])
    })
  })
}

/** Serves an upstream that responds with an event stream, unless the listener sends another status. */
async function upstreamOf(
  respond: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const { url } = await serve((request, response) => {
    response.setHeader('Content-Type', 'text/event-stream')
    respond(request, response)
  })
  return url
}
