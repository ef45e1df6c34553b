import { describe, expect, it, onTestFinished } from 'vitest'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, type Get, get } from '../support/client.ts'
import { dataOf, parseEvents } from '../support/parse.ts'
import { deferred } from '../support/serve.ts'
import { closed } from '../support/streams.ts'
import { authorizeContract } from './authorize-contract.ts'
import { compressionContract } from './compression-contract.ts'
import { formatsContract } from './formats-contract.ts'
import { limitsContract } from './limits-contract.ts'
import { runsContract } from './runs-contract.ts'
import { upstreamContract } from './upstream-contract.ts'

/** The request as a handler of the contract sees it, independent of the framework. */
export interface ContractRequest {
  /** Returns the body of a POST as text. */
  readonly body: () => string | Promise<string>
  /** Sends JSON instead of the stream, as the framework does. A handler returns the result. */
  readonly respond: (status: number, headers: Record<string, string>, body: object) => unknown
}

// `unknown`, because the contract also returns values that the types forbid.
export type AnyHandler = (stream: SseStream, request: ContractRequest) => unknown

/** A server of the framework with a handler on `/stream`. */
export interface Mounted {
  readonly port: number
  /** Errors that reached the error handling of the framework, oldest first. */
  readonly errors: readonly unknown[]
  /** Closes the server as the framework does. Resolves when it is closed. */
  close(): Promise<void>
}

export interface AdapterUnderTest {
  readonly name: string
  /** Serves GET, HEAD and POST. Sets the cookie `earlier=1` before the handler if the framework can. */
  serve(handler: AnyHandler, options?: SseHandlerOptions): Promise<Mounted>
  /** The adapter's `sse`, for its errors. */
  readonly sse: (handler: never, options?: never) => unknown
  /** True if a request that does not get the stream goes to the next handler. Otherwise it gets a 406. */
  readonly passesOn: boolean
  /** True if the response includes headers that were set before the handler. */
  readonly keepsEarlierHeaders: boolean
  /** True if destroying a stream cuts the body instead of ending it. */
  readonly cutsBody: boolean
  /** Whether the framework removes `Content-Encoding`, so that streams MUST stay plain. Default false. */
  readonly removesEncoding?: boolean
  /** Whether the framework replaces the global `fetch`. Default false. */
  readonly patchesFetch?: boolean
}

const PATH = '/stream'

/** Tests an adapter against a real server of its framework. */
export function adapterContract(adapter: AdapterUnderTest): void {
  async function open(handler: AnyHandler, request: Get = {}, options: SseHandlerOptions = {}) {
    const mounted = await mount(adapter, handler, options)
    return { ...mounted, mounted, client: await send(mounted, request) }
  }

  /** Returns a handler and a promise of its stream. */
  function capturing() {
    const opened = deferred<SseStream>()
    return { opened: opened.promise, handler: (stream: SseStream) => opened.resolve(stream) }
  }

  describe(adapter.name, () => {
    compressionContract(adapter, open)

    upstreamContract(adapter, open, (handler, options = {}) => mount(adapter, handler, options))
    formatsContract(adapter, (handler, options) => mount(adapter, handler, options), send)
    authorizeContract((handler, options) => mount(adapter, handler, options), send)
    limitsContract((handler, options) => mount(adapter, handler, options), send)
    runsContract((handler, options) => mount(adapter, handler, options), send)

    it('sends the headers and a first byte immediately (rules 13, 16)', async () => {
      const { client } = await open(() => new Promise(() => {}), {}, { retry: 1000 })
      expect(client.status).toBe(200)
      expect(client.headers['content-type']).toMatch(/^text\/event-stream; ?charset=utf-8$/)
      expect(client.headers['cache-control']).toBe('no-cache, no-transform')
      expect(client.headers['x-accel-buffering']).toBe('no')
      expect(client.headers.vary ?? '').not.toMatch(/\bAccept\b/)
      expect(client.headers['content-length']).toBeUndefined()
      await client.until((body) => /^:\nretry: (1\d\d\d|2000)\n/.test(body))
    })

    it('sends only the headers immediately without a preamble (rule 16)', async () => {
      const { opened, handler } = capturing()
      const { client } = await open(handler, {}, { preamble: false })
      expect([client.status, client.body]).toEqual([200, ''])
      const stream = await opened
      stream.send({ data: 'first' })
      stream.close()
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('data: first\n\n')
    })

    // The last one is that of the SDKs of language models.
    it.each(['text/event-stream', '*/*', 'text/html, */*;q=0', 'application/json'])(
      'opens a stream with Accept %s (rule 18)',
      async (accept) => {
        const { client } = await open((stream) => stream.send({ data: 'hello' }), { headers: { accept } })
        expect(client.status).toBe(200)
        await client.until('data: hello\n\n')
      },
    )

    it('accepts a request with a header named get', async () => {
      const { client } = await open((stream) => stream.send({ data: 'hello' }), { headers: { get: '1' } })
      expect(client.status).toBe(200)
      await client.until('data: hello\n\n')
    })

    it('calls the next handler or responds 406 when event streams are refused (rule 18)', async () => {
      const { client } = await open(() => {}, { headers: { accept: '*/*, text/event-stream;q=0' } })
      await client.ended
      if (adapter.passesOn) expect([client.status, JSON.parse(client.body)]).toEqual([200, { json: true }])
      else expect([client.status, client.headers.vary]).toEqual([406, expect.stringMatching(/\bAccept\b/)])
    })

    it.each([
      undefined,
      '*/*',
      'application/json, text/plain, */*',
      'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
      'text/event-stream;q=0',
    ])('calls the next handler or responds 406 with Accept %s and negotiate (rule 18)', async (accept) => {
      const request = accept === undefined ? {} : { headers: { accept } }
      const { client } = await open(() => expect.unreachable(), request, { negotiate: true })
      await client.ended
      expect(client.headers.vary).toMatch(/\bAccept\b/)
      if (adapter.passesOn) expect([client.status, JSON.parse(client.body)]).toEqual([200, { json: true }])
      else expect(client.status).toBe(406)
    })

    it.each(['text/event-stream', 'application/json, text/event-stream;q=0.1'])(
      'opens a stream with Accept %s and negotiate (rule 18)',
      async (accept) => {
        const hello = (stream: SseStream) => stream.send({ data: 'hello' })
        const { client } = await open(hello, { headers: { accept } }, { negotiate: true })
        expect([client.status, client.headers.vary]).toEqual([200, expect.stringMatching(/\bAccept\b/)])
        await client.until('data: hello\n\n')
      },
    )

    it('responds to HEAD with headers only (rule 19)', async () => {
      const { client } = await open(() => {}, { method: 'HEAD' })
      expect(client.headers['content-type']).toContain('text/event-stream')
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('')
    })

    it('sends the events of a handler and keeps the stream open afterwards', async () => {
      const { opened, handler } = capturing()
      const { client } = await open((stream) => {
        handler(stream)
        return stream.send({ event: 'tick', id: 7, data: { n: 1 } })
      })
      await client.until('event: tick\ndata: {"n":1}\n\n')
      const stream = await opened
      stream.send({ data: 'later' })
      await client.until('data: later\n\n')
      stream.close()
      expect(await client.ended).toBe('end')
    })

    it('sends the events of a generator and then ends the stream', async () => {
      const { client } = await open(async function* () {
        for (const word of ['to', 'be', 'or not']) yield { data: word }
      })
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual(['to', 'be', 'or not'])
    })

    it('sends the events of a promised iterable', async () => {
      const { client } = await open(async () => [{ data: 1 }, 'text'])
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual(['1', 'text'])
    })

    it('keeps the stream of a POST open after the request body has ended (rule 28)', async () => {
      const { client } = await open(
        async function* (_stream, request) {
          const { prompt } = JSON.parse(await request.body())
          for (const token of prompt.split(' ')) yield { event: 'token', data: { token } }
        },
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"prompt":"what is é"}' },
      )
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual(['{"token":"what"}', '{"token":"is"}', '{"token":"é"}'])
    })

    it('reads the last event id from the header and from the query (rules 22, 23)', async () => {
      const { client, port } = await open((stream) => stream.send({ data: stream.lastEventId }), {
        headers: { 'last-event-id': Buffer.from('é-7').toString('latin1') },
      })
      await client.until('data: é-7\n\n')
      const second = await get('http', port, { path: `${PATH}?lastEventId=a%20b` })
      await second.until('data: a b\n\n')
    })

    it('sends several cookies and the headers set before (rule 13)', async () => {
      const { client } = await open(
        () => {},
        {},
        { headers: { 'Set-Cookie': ['a=1', 'b=2'], 'X-Own': 'yes' } },
      )
      const earlier = adapter.keepsEarlierHeaders ? ['earlier=1'] : []
      const cookies = [client.headers['set-cookie'] ?? []].flat().map((each) => each.split(';')[0])
      expect(cookies.sort()).toEqual(['a=1', 'b=2', ...earlier])
      expect(client.headers['x-own']).toBe('yes')
    })

    it.each<[string, AnyHandler]>([
      ['a handler', () => fail()],
      ['an async handler', async () => fail()],
      [
        'a generator',
        // biome-ignore lint/correctness/useYield: it throws before its first yield.
        async function* () {
          fail()
        },
      ],
    ])('passes the error of %s to the framework before anything is sent', async (_what, handler) => {
      const { client, errors } = await open(handler)
      await client.ended
      expect(client.status).toBe(500)
      expect(client.headers['content-type'] ?? '').not.toContain('event-stream')
      expect(errors).toEqual([expect.objectContaining({ message: 'secret of the handler' })])
    })

    it.each([undefined, null, 0, ''])(
      'passes an Error to the framework when a handler rejects with %j',
      async (failure) => {
        const { client, errors } = await open(() => Promise.reject(failure))
        await client.ended
        expect(client.status).toBe(500)
        expect(errors).toEqual([expect.any(Error)])
      },
    )

    it.each([{ data: 1 }, 'text', 7])(
      'passes ERR_SSE_HANDLER to the framework when a handler returns %j',
      async (returned) => {
        const { client, errors } = await open(() => returned)
        await client.ended
        expect(client.status).toBe(500)
        expect(errors).toEqual([expect.objectContaining({ code: 'ERR_SSE_HANDLER' })])
      },
    )

    it('destroys the stream and reports the error to the framework only when a handler fails later', async () => {
      const ready = deferred<void>()
      const { opened, handler } = capturing()
      const { client, errors } = await open(async function* (stream) {
        handler(stream)
        yield { data: 'first' }
        await ready.promise
        fail()
      })
      await client.until('data: first\n\n')
      const end = closed(await opened)
      ready.resolve()
      expect(await end).toMatchObject({ reason: 'error', error: { message: 'secret of the handler' } })
      expect(await client.ended).toBe(adapter.cutsBody ? 'cut' : 'end')
      expect(client.body).not.toContain('secret')
      expect(errors).toEqual([expect.objectContaining({ message: 'secret of the handler' })])
    })

    it('closes the stream and its source without an error when the client disconnects (rule 34)', async () => {
      const { opened, handler } = capturing()
      const returned = deferred<void>()
      const { client, errors } = await open(async function* (stream) {
        handler(stream)
        try {
          for (let n = 0; ; n++) {
            yield { data: n }
            await new Promise((resolve) => setTimeout(resolve, 5))
            stream.signal.throwIfAborted()
          }
        } finally {
          returned.resolve()
        }
      })
      await client.until('data: 2\n\n')
      const stream = await opened
      const end = closed(stream)
      client.disconnect()
      expect(await end).toEqual({ reason: 'client', error: undefined })
      await returned.promise
      expect(stream.signal.aborted).toBe(true)
      expect(errors).toEqual([])
    })

    it('limits the queue of a client that does not read (rule 30)', async () => {
      const { opened, handler } = capturing()
      const { client } = await open(handler, {}, { maxBufferedBytes: 200_000, stallTimeout: 0 })
      const stream = await opened
      const end = closed(stream)
      client.stopReading()
      let most = 0
      for (let n = 0; n < 1_000 && !stream.closed; n++) {
        stream.send({ id: n, data: 'x'.repeat(50_000) })
        most = Math.max(most, stream.bufferedBytes)
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await end).toMatchObject({ reason: 'overflow' })
      expect(most).toBeGreaterThan(100_000)
      expect(most).toBeLessThanOrEqual(200_000)
    })

    it('resumes a client of a hub with no gap and no duplicate', async () => {
      const hub = new Hub()
      const news = hub.channel('news')
      const subscribed = [deferred<void>(), deferred<void>()]
      const { client, mounted } = await open((stream) => {
        const unsubscribe = news.subscribe(stream)
        subscribed.shift()?.resolve()
        return unsubscribe
      })
      await client.until(':\n')
      await news.publish({ data: 1 })
      await client.until('data: 1\n\n')
      const lastEventId = parseEvents(client.body).at(-1)?.id ?? ''
      client.disconnect()
      await news.publish({ data: 2 })
      const back = await send(mounted, { headers: { 'last-event-id': lastEventId } })
      await news.publish({ data: 3 })
      await back.until('data: 3\n\n')
      expect(dataOf(back)).toEqual(['2', '3'])
    })

    it('lets the server close after its streams have ended', async () => {
      const hub = new Hub()
      const { client, mounted } = await open((stream) => hub.subscribe(stream, ['news']))
      await client.until(':\n')
      await expect.poll(() => hub.size).toBe(1)
      const down = mounted.close()
      await hub.shutdown({ grace: 5_000 })
      expect(await client.ended).toBe('end')
      await down
    })

    it('rejects an invalid handler and an unknown option', () => {
      const sse = adapter.sse as (handler: unknown, options?: unknown) => unknown
      expect(() => sse({})).toThrow(expect.objectContaining({ code: 'ERR_SSE_HANDLER' }))
      expect(() => sse(() => {}, { heartbeats: 1 })).toThrow(
        expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
      )
    })
  })
}

async function mount(adapter: AdapterUnderTest, handler: AnyHandler, options: SseHandlerOptions) {
  const mounted = await adapter.serve(handler, options)
  onTestFinished(() => void mounted.close())
  return mounted
}

function send({ port }: Mounted, request: Get): Promise<Client> {
  return get('http', port, { path: PATH, ...request })
}

function fail(): never {
  throw new Error('secret of the handler')
}
