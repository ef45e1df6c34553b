import type { ServerResponse } from 'node:http'
import http2 from 'node:http2'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get } from '../support/client.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

// A quiet stream sends only heartbeats. A client that reads none of them is as stalled as one that reads no events.

const OPTIONS: SseStreamOptions = { heartbeat: 400, stallTimeout: 1_000 }

async function openServer(protocol: Protocol, options = OPTIONS) {
  const opened = deferred<{ stream: SseStream; response: ServerResponse }>()
  const { port } = await serve((req, res) => {
    opened.resolve({ stream: createSseStream(req, res, options), response: res })
  }, protocol)
  return { port, opened: opened.promise }
}

/** Requests a stream of HTTP/2, with a flow-control window of some bytes. */
function requestWith(initialWindowSize: number, protocol: 'h2' | 'h2c', port: number) {
  const scheme = protocol === 'h2' ? 'https' : 'http'
  const settings = { initialWindowSize }
  const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false, settings })
  onTestFinished(() => session.destroy())
  session.on('error', () => {})
  const request = session.request({ ':path': '/' }).setEncoding('utf8')
  const received = { text: '' }
  request.on('data', (text: string) => {
    received.text += text
  })
  request.on('error', () => {})
  return { session, received }
}

describe.each(['h2c', 'h2'] as const)('a quiet stream over %s', (protocol) => {
  it('is closed as stalled when the flow-control window of its client is zero', async () => {
    const { port, opened } = await openServer(protocol)
    const { received } = requestWith(0, protocol, port)
    const { stream } = await opened
    expect(await closed(stream)).toEqual({ reason: 'stalled', error: undefined })
    expect(received.text).toBe('')
  })

  it('stays open when the window opens before the stall timeout', async () => {
    const { port, opened } = await openServer(protocol, { heartbeat: 400, stallTimeout: 60_000 })
    const { session, received } = requestWith(0, protocol, port)
    const { stream, response } = await opened
    await expect.poll(() => response.writableLength).toBeGreaterThan(0)
    session.settings({ initialWindowSize: 65_535 })
    await expect.poll(() => received.text.match(/^:$/gm)?.length ?? 0).toBeGreaterThan(4)
    expect(stream.closed).toBe(false)
  })
})

describe.each(['http', 'https'] as const)('a quiet stream over %s', (protocol) => {
  it('is closed as stalled when its client reads nothing and Node.js holds its last bytes', async () => {
    const { port, opened } = await openServer(protocol)
    const client = await get(protocol, port)
    client.stopReading()
    const { stream, response } = await opened
    const { socket } = response
    // Below the high-water mark, `write` returns true although the kernel is full.
    let turns = 0
    for (; turns < 3; turns = socket?.writableLength ? turns + 1 : 0) {
      if (turns === 0) stream.send({ data: 'x'.repeat(1_000) })
      await nextTurn()
    }
    expect([socket?.writableNeedDrain, stream.bufferedEvents]).toEqual([false, 0])
    expect(await closed(stream)).toEqual({ reason: 'stalled', error: undefined })
  })

  it('stays open while its client reads', async () => {
    const { port, opened } = await openServer(protocol)
    const client = await get(protocol, port)
    const { stream } = await opened
    await client.until((body) => (body.match(/^:$/gm)?.length ?? 0) > 6)
    expect(stream.closed).toBe(false)
  })
})
