import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { resolveOptions } from '../../src/http/options.ts'
import { Output } from '../../src/stream/output.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { type NodeResponse, ResponseTransport } from '../../src/transports/node-response.ts'
import type { Transport } from '../../src/transports/transport.ts'
import { rawClient } from '../support/client.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const SLICE = 64 * 1024

/** A response whose `write` returns false while `isFull` is set. */
class FakeResponse extends EventEmitter {
  readonly socket = {}
  readonly sizes: number[] = []
  body = ''
  isFull = false
  isDestroyed = false

  write(bytes: Buffer): boolean {
    this.sizes.push(bytes.length)
    this.body += bytes.toString('latin1')
    return !this.isFull
  }

  end(): void {}

  destroy(): void {
    this.isDestroyed = true
  }
}

function fakeTransport() {
  const response = new FakeResponse()
  const transport: Transport = new ResponseTransport(response as unknown as NodeResponse)
  return { response, transport }
}

describe('the end of a response', () => {
  const openStream = () => {
    const { response, transport } = fakeTransport()
    return { response, stream: SseStream._open(transport, resolveOptions({}), 'new') }
  }

  it.each(['finish', 'close'])('closes the stream when the response emits %s', async (event) => {
    const { response, stream } = openStream()
    const end = closed(stream)
    response.emit(event)
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect(response.isDestroyed).toBe(false)
  })

  it('closes the stream with the error of the response and destroys the response', async () => {
    const { response, stream } = openStream()
    const end = closed(stream)
    const error = new Error('reset')
    response.emit('error', error)
    expect(await end).toEqual({ reason: 'error', error })
    expect(response.isDestroyed).toBe(true)
  })

  it.each(['finish', 'close'])(
    'closes the stream when an object that wraps the response passes on %s',
    async (event) => {
      const { response } = fakeTransport()
      // A middleware may pass on an object of its own, whose listeners get the inner response as `this`, or nothing.
      const facade = {
        socket: {},
        on(name: string, listener: () => void) {
          response.on(name, () => listener())
          return facade
        },
        destroy: () => {},
      }
      const transport = new ResponseTransport(facade as unknown as NodeResponse)
      const end = closed(SseStream._open(transport, resolveOptions({}), 'new'))
      response.emit(event)
      expect(await end).toEqual({ reason: 'client', error: undefined })
    },
  )

  it('is reported once, with the first reason, when the response emits several events', async () => {
    const { response, stream } = openStream()
    const onClose = vi.fn()
    stream.on('close', onClose)
    response.emit('finish')
    response.emit('close')
    response.emit('error', new Error('late'))
    await nextTurn()
    expect(onClose).toHaveBeenCalledExactlyOnceWith('client', undefined)
    expect(response.isDestroyed).toBe(false)
  })
})

describe('a large frame', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const text = 'x'.repeat(SLICE) + 'y'.repeat(SLICE) + 'z'.repeat(SLICE / 2)
  const openOutput = () => {
    const { response, transport } = fakeTransport()
    const owner = { _begun: vi.fn(), _drained: vi.fn(), _lost: vi.fn() }
    const output = new Output(owner)
    output.start(transport)
    return { response, output, owner }
  }

  it('is written completely and in order in slices of 64 KiB', () => {
    const { response, output } = openOutput()
    expect(output.write(Frame.of(text, 1))).toBe(true)
    expect(response.sizes).toEqual([SLICE, SLICE, SLICE / 2])
    expect(response.body).toBe(text)
  })

  it('is written in one call if it is as large as a slice', () => {
    const { response, output } = openOutput()
    output.write(Frame.of('x'.repeat(SLICE), 1))
    expect(response.sizes).toEqual([SLICE])
  })

  it('is continued after each drain and notifies the owner once after the last slice', () => {
    const { response, output, owner } = openOutput()
    response.isFull = true
    expect(output.write(Frame.of(text, 1))).toBe(false)
    expect(response.sizes).toEqual([SLICE])
    for (const drains of [1, 2]) {
      response.emit('drain')
      expect(response.sizes).toHaveLength(1 + drains)
    }
    expect(owner._drained).not.toHaveBeenCalled()
    response.emit('drain')
    expect(response.body).toBe(text)
    expect(owner._drained).toHaveBeenCalledTimes(1)
    // All waits share one listener.
    expect(response.listenerCount('drain')).toBe(1)
  })

  it('restarts the stall timeout after each slice', async () => {
    vi.useFakeTimers()
    const { response, transport } = fakeTransport()
    const stream = SseStream._open(transport, resolveOptions({ stallTimeout: 5_000, heartbeat: 0 }), 'new')
    response.isFull = true
    stream.send({ data: 'x'.repeat(4.5 * SLICE) })
    await nextTurn()
    for (let slice = 1; slice <= 4; slice++) {
      vi.advanceTimersByTime(4_000)
      response.emit('drain')
      expect(response.sizes).toHaveLength(slice + 1)
    }
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(5_300)
    expect(stream.closeReason).toBe('stalled')
  })
})

describe('a pipelined response', () => {
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

  it('adds no listener to the socket beyond the one for all queued responses', async () => {
    const all = deferred<void>()
    const counts: number[] = []
    const { port } = await serve((req, res) => {
      createSseStream(req, res)
      counts.push(req.socket.listenerCount('close'))
      if (counts.length === 6) all.resolve()
    })
    rawClient(port, request('/').repeat(6))
    await all.promise
    const [, second, ...others] = counts
    expect(new Set(others)).toEqual(new Set([second]))
  })

  it('closes its stream once when the connection is lost before its turn', async () => {
    const all = deferred<void>()
    const streams: SseStream[] = []
    const { port } = await serve((req, res) => {
      streams.push(createSseStream(req, res))
      if (streams.length === 4) all.resolve()
    })
    const client = rawClient(port, request('/').repeat(4))
    await all.promise
    const onClose = vi.fn()
    for (const stream of streams) stream.on('close', onClose)
    const ends = streams.map(closed)
    client.disconnect()
    expect(await Promise.all(ends)).toEqual(Array(4).fill({ reason: 'client', error: undefined }))
    expect(onClose).toHaveBeenCalledTimes(4)
  })

  it('removes the timeout of its socket when it is sent (rule 17)', async () => {
    const first = deferred<ServerResponse>()
    const { server, port, sockets } = await serve((req, res) => {
      if (req.url === '/1') return first.resolve(res)
      createSseStream(req, res)
      void first.promise.then((response) => response.end('first\n'))
    })
    Object.assign(server, { timeout: 60_000 })
    const client = rawClient(port, request('/1') + request('/2'))
    await client.until('text/event-stream')
    expect([...sockets].map((socket) => socket.timeout)).toEqual([0])
  })
})
