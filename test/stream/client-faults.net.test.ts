import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

/** Opens a stream for a client that sends any bytes and reads nothing by itself. */
async function open(request: string, options: SseStreamOptions = {}) {
  const opened = deferred<{ stream: SseStream; request: IncomingMessage }>()
  const { port, sockets } = await serve((req, res) =>
    opened.resolve({ stream: createSseStream(req, res, options), request: req }),
  )
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  onTestFinished(() => void socket.destroy())
  socket.write(request)
  return { socket, sockets, ...(await opened.promise) }
}

describe('a client that sends garbage after its request', () => {
  it.each([
    ['bytes of no request', '\x00\xff\xfe garbage\r\n\r\n'],
    ['a request line of no end', 'x'.repeat(100_000)],
    ['a request with a malformed header', 'GET / HTTP/1.1\r\nno header\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('%s is disconnected, and its stream is closed with the reason client', async (_name, garbage) => {
    const { socket, stream, sockets } = await open(GET)
    socket.resume()
    const end = closed(stream)
    socket.write(garbage, 'latin1')
    expect(await end).toMatchObject({ reason: 'client' })
    await expect.poll(() => sockets.size).toBe(0)
  })
})

describe('a client that sends a body that the application does not read', () => {
  const POST = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'

  it('is stopped by backpressure, receives events, and is closed with the reason client when it resets', async () => {
    const { socket, stream, request } = await open(POST)
    let received = ''
    socket.on('data', (data) => {
      received += data
    })
    // More than the kernel buffers.
    for (let count = 0; count < 400; count++) socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`)
    stream.send({ data: 'here' })
    await expect.poll(() => received).toContain('data: here\n\n')
    expect(request.readableLength).toBeLessThan(1_000_000)
    const end = closed(stream)
    socket.resetAndDestroy()
    // A socket that is not read reports the reset with the next write.
    for (let isOpen = true; isOpen; await nextTurn()) {
      stream.send({ data: 'again' })
      isOpen = !stream.closed
    }
    expect(await end).toMatchObject({ reason: 'client' })
  })
})

describe('a client that reads one byte a second', () => {
  it('is closed as stalled, because the kernel accepts nothing meanwhile', async () => {
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const { socket, stream } = await open(GET, { stallTimeout: 30_000, maxBufferedBytes: 50_000_000 })
    socket.pause()
    const end = closed(stream)
    for (let count = 0; count < 100; count++) {
      stream.send({ data: 'x'.repeat(100_000) })
      await nextTurn()
    }
    let seconds = 0
    for (; !stream.closed && seconds < 100; seconds++) {
      socket.read(1)
      clock.advance(1_000)
      await nextTurn()
    }
    expect(await end).toMatchObject({ reason: 'stalled' })
    expect(seconds).toBeGreaterThanOrEqual(30)
  })
})

describe('a client that half-closes its connection and does not read', () => {
  it('is closed with the reason client if nothing waits for it', async () => {
    const { socket, stream } = await open(GET)
    socket.pause()
    const end = closed(stream)
    socket.end()
    expect(await end).toMatchObject({ reason: 'client' })
  })

  it('is closed as stalled if bytes wait for it, which Node.js writes before it closes the connection', async () => {
    const clock = holdClock()
    onTestFinished(() => clock.release())
    const { socket, stream, sockets } = await open(GET, { maxBufferedBytes: 50_000_000 })
    const [accepted] = sockets
    socket.pause()
    const end = closed(stream)
    for (let count = 0; count < 100; count++) {
      stream.send({ data: 'x'.repeat(100_000) })
      await nextTurn()
    }
    socket.end()
    await expect.poll(() => accepted?.readableEnded || stream.closed).toBe(true)
    for (let seconds = 0; !stream.closed && seconds < 100; seconds++) {
      clock.advance(1_000)
      await nextTurn()
    }
    expect((await end).reason).toMatch(/^(client|stalled)$/)
    await expect.poll(() => sockets.size).toBe(0)
  })
})
