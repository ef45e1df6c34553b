import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Get, get } from '../../support/client.ts'
import { ENCODINGS } from '../../support/decode.ts'
import { dataOf, parseEvents } from '../../support/parse.ts'
import { runtimeRunsContract } from './runs-contract.ts'
import { Running } from './runtime.ts'

export interface RuntimeUnderTest {
  readonly name: string
  /** The command that runs a script. Undefined if the runtime is not installed. */
  readonly command: readonly string[] | undefined
  /**
   * True if the connection of a stalled client is cut with its stream. Otherwise the server does not read the body
   * again until its last write completes, so the connection stays open until the client reads, the kernel gives up or
   * the server's idle timeout ends it.
   */
  readonly cutsStalled: boolean
  /** True if the server's error handler is called for a body that errors. */
  readonly tellsOfCut: boolean
  /** True if the server sends the response headers before the first byte of the body. */
  readonly sendsHeadersAlone: boolean
}

const SCRIPT = join(import.meta.dirname, 'server.js')

/** Tests `spillway/web` as `../contract.ts` does, on a runtime whose server is a separate process. */
export function runtimeContract(runtime: RuntimeUnderTest): void {
  const { name, command, cutsStalled, tellsOfCut, sendsHeadersAlone } = runtime
  describe.skipIf(!command)(name, () => {
    let server: Running
    let reportsBefore = 0
    let clients = 0

    beforeAll(async () => {
      server = await Running.start(command ?? [], SCRIPT)
    })

    afterAll(async () => {
      await server?.stop()
      // Longer than any runtime needed in our tests.
      expect(server.reports.filter((each) => 'unhandled' in each || 'uncaught' in each)).toEqual([])
    })

    beforeEach(() => {
      reportsBefore = server.reports.length
    })

    /** Sends a request to a handler of the server by its name. */
    async function open(handler: string, { path = '', ...ask }: Get = {}, on = server) {
      const key = `${++clients}`
      const client = await get('http', on.port, { path: `/stream/${handler}?key=${key}${path}`, ...ask })
      return { client, key, closed: () => on.report({ closed: key }) }
    }

    const order = (what: string, { key = '', text = '', on = server } = {}) => on.order(what, key, text)

    /** Returns the errors of this test that `onError` and the server's error handler received. */
    async function failures() {
      const mark = `${++clients}`
      await order('mark', { key: mark })
      await server.report({ mark })
      const reports = server.reports.slice(reportsBefore)
      return reports.filter((each) => 'onError' in each || 'rejected' in each)
    }

    it('sends the headers and a first byte immediately (rules 13, 16)', async () => {
      const { client } = await open('silent')
      expect(client.status).toBe(200)
      expect(client.headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
      })
      expect(client.headers['content-length']).toBeUndefined()
      await client.until((body) => /^:\nretry: (1\d\d\d|2000)\n: heartbeat 15000\n$/.test(body))
    })

    it.runIf(sendsHeadersAlone)(
      'sends only the headers immediately without a preamble (rule 16)',
      async () => {
        const { client, key } = await open('bare')
        expect([client.status, client.body]).toEqual([200, ''])
        await order('send', { key, text: 'first' })
        await order('close', { key })
        expect(await client.ended).toBe('end')
        expect(client.body).toMatch(/^(id|data): /)
        expect(client.body).toContain('data: first\n\n')
      },
    )

    it.each(ENCODINGS)('delivers each event with %s before the next with compress', async (encoding) => {
      const headers = { 'accept-encoding': encoding }
      const { client, key } = await open('compressed', { headers })
      expect(client.headers).toMatchObject({ 'content-encoding': encoding, vary: 'Accept-Encoding' })
      await client.until((body) => /\nretry: \d+\n/.test(body))
      for (const text of ['one', 'two', 'three']) {
        await order('send', { key, text })
        await client.until(`data: ${text}\n\n`)
      }
      await order('close', { key })
      expect(await client.ended).toBe('end')
    })

    it.each(['text/event-stream', '*/*', 'text/html, */*;q=0', 'application/json'])(
      'opens a stream with Accept %s (rule 18)',
      async (accept) => {
        const { client } = await open('hello', { headers: { accept } })
        expect(client.status).toBe(200)
        await client.until('data: hello\n\n')
      },
    )

    it('responds 406 to a client that refuses event streams (rule 18)', async () => {
      const { client } = await open('hello', { headers: { accept: 'text/event-stream;q=0' } })
      await client.ended
      expect([client.status, client.headers.vary]).toEqual([406, 'Accept'])
    })

    it('responds to HEAD with headers only (rule 19)', async () => {
      const { client } = await open('hello', { method: 'HEAD' })
      expect(client.headers['content-type']).toContain('text/event-stream')
      expect(await client.ended).toBe('end')
      expect(client.body).toBe('')
    })

    it('sends the events of a handler and keeps the stream open afterwards', async () => {
      const { client, key, closed } = await open('typed')
      await client.until('id: 7\nevent: tick\ndata: {"n":1}\n\n')
      await order('send', { key, text: 'later' })
      await client.until('data: later\n\n')
      await order('close', { key })
      expect(await client.ended).toBe('end')
      expect(await closed()).toEqual({ closed: key, reason: 'server' })
    })

    it.each([
      ['the events of a generator', 'generator', ['to', 'be', 'or not']],
      ['the events of a promised iterable', 'iterable', ['1', 'text']],
    ])('sends %s and then ends the stream', async (_what, handler, data) => {
      const { client } = await open(handler)
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual(data)
    })

    it('sends large events completely and in order', async () => {
      const { client } = await open('large')
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual([0, 1, 2, 3, 4].map((id) => `${id} é🦆 ${'x'.repeat(100_000)}`))
    })

    it('keeps the stream of a POST open after the request body has ended (rule 28)', async () => {
      const { client } = await open('prompt', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"prompt":"what is é"}',
      })
      expect(await client.ended).toBe('end')
      expect(dataOf(client)).toEqual(['{"token":"what"}', '{"token":"is"}', '{"token":"é"}'])
    })

    it('reads the last event id from the header and from the query (rules 22, 23)', async () => {
      const header = Buffer.from('é-7').toString('latin1')
      const inHeader = await open('position', { headers: { 'last-event-id': header } })
      await inHeader.client.until('data: é-7\n\n')
      const inQuery = await open('position', { path: '&lastEventId=a%20b' })
      await inQuery.client.until('data: a b\n\n')
    })

    it('sends several cookies and headers that are set on the response (rule 13)', async () => {
      const { client } = await open('cookies')
      expect(client.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2', 'earlier=1'])
      expect(client.headers['x-own']).toBe('yes')
    })

    it('sends heartbeats while it is idle', async () => {
      const { client } = await open('idle')
      await client.until(':\n:\n:\n')
    })

    it.each(['throws', 'rejects', 'generator-fails'])(
      'lets the server respond when a handler fails before anything is sent: %s',
      async (handler) => {
        const { client, key, closed } = await open(handler)
        await client.ended
        expect([client.status, client.body]).toEqual([500, 'sorry'])
        expect(await failures()).toEqual([{ rejected: 'Error: secret of the handler' }])
        expect(await closed()).toMatchObject({ closed: key, reason: 'error' })
      },
    )

    it('destroys the stream and calls onError when a handler fails later', async () => {
      const { client, key, closed } = await open('fails-later')
      await client.until('data: first\n\n')
      await order('fail', { key })
      expect(await closed()).toMatchObject({ reason: 'error', error: 'Error: secret of the handler' })
      expect(await client.ended).toBe('cut')
      expect(client.body).not.toContain('secret')
      const told = await failures()
      expect(told).toContainEqual({ onError: 'Error: secret of the handler' })
      const cut = { rejected: 'AbortError: The stream was destroyed.' }
      expect(told.filter((each) => 'rejected' in each)).toEqual(tellsOfCut ? [cut] : [])
    })

    it('cuts the connection when the stream is destroyed, so that the client reconnects', async () => {
      const { client, key, closed } = await open('hello')
      await client.until('data: hello\n\n')
      await order('destroy', { key })
      expect(await client.ended).toBe('cut')
      expect(await closed()).toEqual({ closed: key, reason: 'server' })
    })

    it('closes the stream and its source without an error when the client disconnects (rule 34)', async () => {
      const { client, key, closed } = await open('endless')
      await client.until('data: 2\n\n')
      client.disconnect()
      expect(await closed()).toEqual({ closed: key, reason: 'client' })
      await server.report({ returned: key })
      expect(await failures()).toEqual([])
    })

    it('closes a silent stream when the client disconnects', async () => {
      const { client, key, closed } = await open('silent')
      await client.until(':\n')
      client.disconnect()
      expect(await closed()).toEqual({ closed: key, reason: 'client' })
    })

    it('limits the queue of a client that does not read (rule 30)', async () => {
      const { client, key, closed } = await open('flood')
      client.stopReading()
      expect(await closed()).toEqual({ closed: key, reason: 'overflow' })
      const { most } = await server.report({ key })
      expect(most).toBeGreaterThan(100_000)
      expect(most).toBeLessThanOrEqual(200_000)
    })

    it('sends every queued event when the client reads again (rules 27, 30)', async () => {
      const { client, key } = await open('patient')
      client.stopReading()
      expect((await server.report({ filled: key })).bufferedEvents).toBeGreaterThan(50)
      client.resumeReading()
      await order('close', { key })
      expect(await client.ended).toBe('end')
      expect(parseEvents(client.body).map(({ id }) => Number(id))).toEqual(
        Array.from({ length: 400 }, (_, id) => id),
      )
    })

    it('closes the stream when a client that does not read disconnects (rule 27)', async () => {
      const { client, key, closed } = await open('patient')
      client.stopReading()
      await server.report({ filled: key })
      client.disconnect()
      expect(await closed()).toEqual({ closed: key, reason: 'client' })
    })

    it('closes a stalled stream, and its connection if the server allows it', async () => {
      const socket = net.connect(server.port, '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      const over = once(socket, 'close').catch(() => {})
      socket.pause().write('GET /stream/stalled?key=stalled HTTP/1.1\r\nHost: a\r\n\r\n')
      expect(await server.report({ closed: 'stalled' })).toMatchObject({ reason: 'stalled' })
      if (cutsStalled) {
        // A write to a closed connection errors here too.
        await expect.poll(() => socket.destroyed || void socket.write('\r\n')).toBe(true)
      } else {
        socket.resume()
      }
      await over
    })

    it('resumes a client of a hub with no gap and no duplicate', async () => {
      const { client } = await open('news')
      await client.until(':\n')
      await order('publish', { text: '1' })
      await client.until('data: 1\n\n')
      const lastEventId = parseEvents(client.body).at(-1)?.id ?? ''
      client.disconnect()
      await order('publish', { text: '2' })
      const back = await open('news', { headers: { 'last-event-id': lastEventId } })
      await order('publish', { text: '3' })
      await back.client.until('data: 3\n\n')
      expect(dataOf(back.client)).toEqual(['2', '3'])
    })

    runtimeRunsContract(() => server)

    it('lets the server close and the process exit after its streams have ended', async () => {
      const own = await Running.start(command ?? [], SCRIPT)
      onTestFinished(() => own.stop())
      const { client, closed } = await open('news', {}, own)
      await client.until(':\n')
      await expect.poll(() => order('size', { on: own })).toBe(1)
      await order('shut-down', { on: own })
      expect(await client.ended).toBe('end')
      expect(await closed()).toMatchObject({ reason: 'shutdown' })
      await own.report({ down: true })
      expect(await own.exited).toBe(0)
    })
  })
}
