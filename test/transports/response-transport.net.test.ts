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

const PIECE = 64 * 1024

/** A response whose kernel is full when a test says so. */
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

function overFake() {
  const response = new FakeResponse()
  const transport: Transport = new ResponseTransport(response as unknown as NodeResponse)
  return { response, transport }
}

describe('the end of a response', () => {
  const streamed = () => {
    const { response, transport } = overFake()
    return { response, stream: SseStream._open(transport, resolveOptions({}), 'new') }
  }

  it.each(['finish', 'close'])('is the end of the stream when it says %s', async (event) => {
    const { response, stream } = streamed()
    const end = closed(stream)
    response.emit(event)
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect(response.isDestroyed).toBe(false)
  })

  it('is the end of the stream when it fails, and what is left of it is cut', async () => {
    const { response, stream } = streamed()
    const end = closed(stream)
    const error = new Error('reset')
    response.emit('error', error)
    expect(await end).toEqual({ reason: 'error', error })
    expect(response.isDestroyed).toBe(true)
  })

  it.each(['finish', 'close'])('is the end of a stream over an object that delegates %s', async (event) => {
    const { response } = overFake()
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
  })

  it('is heard once, whatever else the response says, and the first reason stays', async () => {
    const { response, stream } = streamed()
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
  const text = 'x'.repeat(PIECE) + 'y'.repeat(PIECE) + 'z'.repeat(PIECE / 2)
  const owned = () => {
    const { response, transport } = overFake()
    const owner = { _drained: vi.fn(), _lost: vi.fn() }
    const output = new Output(owner)
    output.start(transport)
    return { response, output, owner }
  }

  it('goes in pieces of 64 KiB, whole and in order', () => {
    const { response, output } = owned()
    expect(output.write(Frame.of(text, 1))).toBe(true)
    expect(response.sizes).toEqual([PIECE, PIECE, PIECE / 2])
    expect(response.body).toBe(text)
  })

  it('goes in one piece when it is as large as one', () => {
    const { response, output } = owned()
    output.write(Frame.of('x'.repeat(PIECE), 1))
    expect(response.sizes).toEqual([PIECE])
  })

  it('waits for room after each piece that fills the kernel, and says that it moves', () => {
    const { response, output, owner } = owned()
    response.isFull = true
    expect(output.write(Frame.of(text, 1))).toBe(false)
    expect(response.sizes).toEqual([PIECE])
    for (const moves of [1, 2]) {
      response.emit('drain')
      expect(response.sizes).toHaveLength(1 + moves)
    }
    expect(owner._drained).not.toHaveBeenCalled()
    response.emit('drain')
    expect(response.body).toBe(text)
    expect(owner._drained).toHaveBeenCalledTimes(1)
    // One for all waits.
    expect(response.listenerCount('drain')).toBe(1)
  })

  it('gives its client the stall time for each piece', async () => {
    vi.useFakeTimers()
    const { response, transport } = overFake()
    const stream = SseStream._open(transport, resolveOptions({ stallTimeout: 5_000, heartbeat: 0 }), 'new')
    response.isFull = true
    stream.send({ data: 'x'.repeat(4.5 * PIECE) })
    await nextTurn()
    for (let piece = 1; piece <= 4; piece++) {
      vi.advanceTimersByTime(4_000)
      response.emit('drain')
      expect(response.sizes).toHaveLength(piece + 1)
    }
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(5_300)
    expect(stream.closeReason).toBe('stalled')
  })
})

describe('a pipelined response', () => {
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

  it('holds one listener on its socket, however many wait', async () => {
    const all = deferred<void>()
    const counts: number[] = []
    const { port } = await serve((req, res) => {
      createSseStream(req, res)
      counts.push(req.socket.listenerCount('close'))
      if (counts.length === 6) all.resolve()
    })
    rawClient(port, ask('/').repeat(6))
    await all.promise
    const [, second, ...others] = counts
    expect(new Set(others)).toEqual(new Set([second]))
  })

  it('ends when its connection is lost before its turn, each that waits, once', async () => {
    const all = deferred<void>()
    const streams: SseStream[] = []
    const { port } = await serve((req, res) => {
      streams.push(createSseStream(req, res))
      if (streams.length === 4) all.resolve()
    })
    const client = rawClient(port, ask('/').repeat(4))
    await all.promise
    const onClose = vi.fn()
    for (const stream of streams) stream.on('close', onClose)
    const ends = streams.map(closed)
    client.leave()
    expect(await Promise.all(ends)).toEqual(Array(4).fill({ reason: 'client', error: undefined }))
    expect(onClose).toHaveBeenCalledTimes(4)
  })

  it('has no time limit of its socket any more when its turn has come (rule 17)', async () => {
    const first = deferred<ServerResponse>()
    const { server, port, sockets } = await serve((req, res) => {
      if (req.url === '/1') return first.resolve(res)
      createSseStream(req, res)
      void first.promise.then((response) => response.end('first\n'))
    })
    Object.assign(server, { timeout: 60_000 })
    const client = rawClient(port, ask('/1') + ask('/2'))
    await client.until('text/event-stream')
    expect([...sockets].map((socket) => socket.timeout)).toEqual([0])
  })
})
