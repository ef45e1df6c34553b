import type { ServerResponse } from 'node:http'
import http2, { type Http2Server, type ServerHttp2Session } from 'node:http2'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

// RFC 9113 7.
const [NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, CANCEL] = [0, 1, 5, 8]

/** Opens a stream for a client whose flow-control window has some bytes. */
async function open(initialWindowSize: number, options: SseStreamOptions = {}) {
  const opened = deferred<{ stream: SseStream; response: ServerResponse }>()
  const { server, port } = await serve((req, res) => {
    opened.resolve({ stream: createSseStream(req, res, options), response: res })
  }, 'h2c')
  const accepted = deferred<ServerHttp2Session>()
  ;(server as Http2Server).once('session', accepted.resolve)
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize } })
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  const request = session.request({ ':path': '/' }).on('error', () => {})
  return { session, request, ...(await opened.promise), serverSession: await accepted.promise }
}

const sessionClosed = (session: ServerHttp2Session) =>
  new Promise<void>((resolve) => (session.destroyed ? resolve() : session.once('close', resolve)))

describe('a client of HTTP/2 that resets its stream while bytes wait for its window', () => {
  // Node.js never closes a stream that is reset with NO_ERROR during a write, nor its session.
  it.each([
    ['NO_ERROR', NO_ERROR],
    ['PROTOCOL_ERROR', PROTOCOL_ERROR],
    ['STREAM_CLOSED', STREAM_CLOSED],
    ['CANCEL', CANCEL],
  ])('is closed with the reason client, and its session can end, with %s', async (_name, code) => {
    const { session, request, stream, response, serverSession } = await open(0)
    const end = closed(stream)
    await expect.poll(() => response.writableLength).toBeGreaterThan(0)
    stream.send({ data: 'x'.repeat(1_000) })
    const gone = sessionClosed(serverSession)
    request.close(code)
    expect(await end).toMatchObject({ reason: 'client' })
    session.destroy()
    await gone
  })

  it('does not hold its session open if the stream was closed before', async () => {
    const { session, request, stream, response, serverSession } = await open(0, { stallTimeout: 300 })
    const end = closed(stream)
    await expect.poll(() => response.writableLength).toBeGreaterThan(0)
    stream.send({ data: 'x'.repeat(1_000) })
    stream.close()
    expect(await end).toMatchObject({ reason: 'server' })
    const gone = sessionClosed(serverSession)
    request.close(NO_ERROR)
    session.destroy()
    await gone
  })
})

describe('a client of HTTP/2 whose window opens by one byte at a time', () => {
  it('is closed as stalled, because no write is completed within the stall timeout', async () => {
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const { session, stream } = await open(0, { heartbeat: 400, stallTimeout: 1_000 })
    let isClosed = false
    const end = closed(stream).finally(() => {
      isClosed = true
    })
    stream.send({ data: 'x'.repeat(1_000) })
    for (let window = 1; !isClosed && window < 100; window++) {
      // The server has accepted the window when it acknowledges the settings.
      await new Promise<void>((resolve) => session.settings({ initialWindowSize: window }, () => resolve()))
      clock.advance(100)
      await nextTurn()
    }
    expect(await end).toMatchObject({ reason: 'stalled' })
  })
})

// RFC 9113 3.4 and 6: the preface, empty SETTINGS, and the HEADERS of `GET /` with the authority `a`.
const REQUEST = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
  Buffer.from('000006010500000001828684410161', 'hex'),
])

describe('a client of HTTP/2 that sends garbage', () => {
  it.each([
    ['instead of a frame', Buffer.from('ff'.repeat(64), 'hex')],
    ['in a window update of zero', Buffer.from('00000408000000000000000000', 'hex')],
    ['in headers that are not HPACK', Buffer.from('0000040105000000038080ffff', 'hex')],
    ['as a request of HTTP/1', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ])('%s has its stream closed, and its session ends', async (_where, garbage) => {
    const opened = deferred<SseStream>()
    const options = { heartbeat: 400, stallTimeout: 1_000 }
    const { server, port } = await serve((req, res) => {
      opened.resolve(createSseStream(req, res, options))
    }, 'h2c')
    const accepted = deferred<ServerHttp2Session>()
    ;(server as Http2Server).once('session', accepted.resolve)
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    socket.resume().write(REQUEST)
    const end = closed(await opened.promise)
    const gone = sessionClosed(await accepted.promise)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    socket.write(garbage)
    // Node.js may only stop to send. The stream has then stalled.
    expect((await end).reason).toMatch(/^(client|stalled)$/)
    socket.destroy()
    vi.advanceTimersByTime(30_000)
    await gone
  })
})
