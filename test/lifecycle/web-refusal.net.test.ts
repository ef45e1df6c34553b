import { once } from 'node:events'
import type { Server } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { gracefulShutdown } from '../../src/lifecycle/shutdown.ts'
import { deferred } from '../support/deferred.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const headers = { host: 'a' }

async function open(fetch: (request: Request) => Promise<Response> | Response) {
  const server = createAdaptorServer({ fetch }) as Server
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { server, port }
}

describe('a web stream that begins on a server that shuts down', () => {
  /** Opens a connection, on which half of a request was sent. */
  async function halfRequest({ server, port }: { server: Server; port: number }) {
    const accepted = once(server, 'connection')
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET '))
    onTestFinished(() => void socket.destroy())
    const [connection] = (await accepted) as [net.Socket]
    await expect.poll(() => connection.bytesRead).toBeGreaterThan(0)
    return socket.setEncoding('utf8')
  }

  it('is refused, and its handler is not called', async () => {
    const handler = vi.fn(() => [{ data: 1 }])
    const opened = await open(sse(handler))
    const shutdown = gracefulShutdown({ server: opened.server, signals: [], grace: 600_000, retry: 5_000 })
    const socket = await halfRequest(opened)
    const done = shutdown.start()
    socket.write('/ HTTP/1.1\r\nHost: a\r\n\r\n')
    const text = (await socket.toArray()).join('')
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).toMatch(/\r\nconnection: close\r\n/i)
    expect(text).toMatch(/retry: ([5-9]\d{3}|10000)\n/)
    expect(handler).not.toHaveBeenCalled()
    await done
  })

  it('is not refused on another server of the process', async () => {
    const other = await open(sse(() => [{ data: 1 }]))
    const closing = await open(() => new Response())
    await gracefulShutdown({ server: closing.server, signals: [] }).start()
    const response = await fetch(`http://127.0.0.1:${other.port}`)
    expect(await response.text()).toContain('data: 1\n')
  })
})

describe('a web stream that begins after a shutdown without a server', () => {
  // Its state is shared by all builds of the library in the process.
  afterEach(() => {
    delete (globalThis as Record<symbol, unknown>)[Symbol.for('spillway.draining')]
  })

  async function shutDown() {
    await gracefulShutdown({ signals: [], retry: 5_000 }).start()
  }

  it.each([
    ['an event stream', 'http://a/', /retry: \d{4,5}\n/],
    ['NDJSON', 'http://a/?format=ndjson', /"retry":\d{4,5}/],
    ['a long poll', 'http://a/?format=json', /"retry":\d{4,5}/],
  ])('is refused with `Connection: close`, for %s', async (_, url, expected) => {
    await shutDown()
    const request = new Request(url, { headers })
    const handler = vi.fn(() => [{ data: 1 }])
    for (const response of [
      createSseResponse(request, handler, FORMATS),
      await sse(handler, FORMATS)(request),
    ]) {
      expect([response.status, response.headers.get('connection')]).toEqual([200, 'close'])
      expect(await response.text()).toMatch(expected)
    }
    expect(handler).not.toHaveBeenCalled()
  })

  it('is refused if it waits for `authorize` when the shutdown begins', async () => {
    const permitted = deferred<boolean>()
    const handler = vi.fn(() => [{ data: 1 }])
    const route = sse(handler, { authorize: () => permitted.promise })
    const response = route(new Request('http://a/', { headers }))
    await shutDown()
    permitted.resolve(true)
    const { status, body } = await response
    expect([status, await new Response(body).text()]).toEqual([
      200,
      expect.stringMatching(/retry: \d{4,5}\n/),
    ])
    expect(handler).not.toHaveBeenCalled()
  })

  it('has no header `Connection` if its request is one of HTTP/2', async () => {
    await shutDown()
    const response = createSseResponse(new Request('http://a/'), () => {})
    expect(response.headers.has('connection')).toBe(false)
  })

  it('gets `Connection: close` with a 406, and in a response to HEAD', async () => {
    await shutDown()
    const refusing = new Request('http://a/', { headers: { ...headers, accept: 'text/event-stream;q=0' } })
    const head = new Request('http://a/', { method: 'HEAD', headers })
    const responses = [refusing, head].map((request) => createSseResponse(request, () => {}))
    expect(responses.map((response) => [response.status, response.headers.get('connection')])).toEqual([
      [406, 'close'],
      [200, 'close'],
    ])
  })

  it('may finish although the shutdown of another server ends later', async () => {
    const signal = 'SIGUSR2'
    const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never)
    onTestFinished(() => exit.mockRestore())
    const { server } = await open(() => new Response())
    const options = { signals: [signal], grace: 600_000 } as const
    const shutdowns = [gracefulShutdown(options), gracefulShutdown({ ...options, server })]
    process.emit(signal, signal)
    await Promise.all(shutdowns.map(({ done }) => done))
    expect(exit).not.toHaveBeenCalled()
  })

  it.each([
    ['prefers an error', { headers: { ...headers, prefer: 'handling=strict' } }],
    ['sends a POST', { headers, method: 'POST' }],
  ])('gets a 503 if its client %s', async (_, init) => {
    await shutDown()
    const response = createSseResponse(new Request('http://a/', init), () => {})
    expect([response.status, Number(response.headers.get('retry-after'))]).toEqual([503, expect.any(Number)])
  })
})
