import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { Output } from '../../src/stream/output.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { WebTransport } from '../../src/transports/web-body.ts'
import { rawClient } from '../support/client.ts'
import { collectGarbage } from '../support/garbage.ts'
import { nextTurn } from '../support/streams.ts'
import { transportContract } from './contract.ts'

// The contract creates its streams from the request and the response of Node. This mock serves a web response instead.
vi.mock('../../src/http/create-sse-stream.ts', () => ({
  createSseStream(request: IncomingMessage, response: ServerResponse, options: SseStreamOptions): SseStream {
    let opened: SseStream | undefined
    const handler = (webRequest: Request) =>
      createSseResponse(
        webRequest,
        (stream) => {
          opened = stream as SseStream
        },
        options,
      )
    void getRequestListener(handler)(request, response)
    return opened as SseStream
  },
}))

// The server logs an error for each stream that is destroyed.
vi.spyOn(console, 'error').mockImplementation(() => {})

transportContract({ name: 'a web response on HTTP/1.1', protocol: 'http' })
transportContract({ name: 'a web response on HTTP/1.1 over TLS', protocol: 'https' })
transportContract({ name: 'a web response on HTTP/2', protocol: 'h2c' })
transportContract({
  name: 'a web response on HTTP/1.0',
  protocol: 'http',
  hasBodyEnd: false,
  connect: async (port) => rawClient(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'),
})

const PREAMBLE = ':\nretry: 2000\n'
const CAPACITY = 16 * 1024
const SLICE = 64 * 1024

/** Returns an owner that records the notifications of its transport. */
function ownerSpy() {
  return { _drained: vi.fn(), _closed: vi.fn() }
}

function openTransport() {
  const transport = new WebTransport(PREAMBLE)
  const owner = ownerSpy()
  transport.open(owner)
  return { transport, owner, body: transport.body }
}

/** Returns an output over a transport whose preamble was read. */
async function openOutput() {
  const transport = new WebTransport(PREAMBLE)
  const owner = { _begun: vi.fn(), _drained: vi.fn(), _lost: vi.fn() }
  const output = new Output(owner)
  output.start(transport)
  const reader = transport.body.getReader()
  await reader.read()
  return { transport, output, owner, reader }
}

/** Returns a transport whose preamble was read. */
async function startReading() {
  const { transport, owner, body } = openTransport()
  const reader = body.getReader()
  await reader.read()
  return { transport, owner, body, reader, next: async () => text((await reader.read()).value) }
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString()
}

function frameOf(size: number, fill = 'x'): Frame {
  return Frame.of(fill.repeat(size), 1)
}

describe('the body of a web transport', () => {
  it('starts with the preamble before anything is written', async () => {
    const reader = openTransport().body.getReader()
    expect(text((await reader.read()).value)).toBe(PREAMBLE)
  })

  it('contains each frame as one chunk', async () => {
    const { transport, next } = await startReading()
    transport.write(Frame.of('data: 1\n\n', 1).payload)
    transport.write(Frame.of('data: é\n\n', 1).payload)
    expect([await next(), await next()]).toEqual(['data: 1\n\n', 'data: é\n\n'])
  })

  it('is full by bytes: after one large chunk, but not after two small ones', async () => {
    const { transport } = await startReading()
    expect(transport.write(frameOf(CAPACITY / 2).payload)).toBe(true)
    expect(transport.write(frameOf(CAPACITY / 2 - 1).payload)).toBe(true)
    const other = (await startReading()).transport
    expect(other.write(frameOf(CAPACITY).payload)).toBe(false)
  })

  it('is full after sixteen chunks of any size, so that an unread body is detected', () => {
    const { transport } = openTransport()
    const results = Array.from({ length: 15 }, () => transport.write(frameOf(2).payload))
    expect(results).toEqual([...Array(14).fill(true), false])
  })

  it('notifies its owner once of a drain when a part of a full body is read', async () => {
    const { transport, owner, reader } = await startReading()
    transport.write(frameOf(CAPACITY / 2).payload)
    expect(transport.write(frameOf(CAPACITY / 2).payload)).toBe(false)
    await nextTurn()
    expect(owner._drained).not.toHaveBeenCalled()
    await reader.read()
    expect(owner._drained).toHaveBeenCalledTimes(1)
    await reader.read()
    expect(owner._drained).toHaveBeenCalledTimes(1)
  })

  it('notifies its owner of no drain while it is never full', async () => {
    const { transport, owner, reader } = await startReading()
    for (let i = 0; i < 10; i++) {
      const waiting = reader.read()
      expect(transport.write(frameOf(CAPACITY - 1).payload)).toBe(true)
      await waiting
    }
    expect([owner._drained, owner._closed].flatMap((each) => each.mock.calls)).toEqual([])
  })

  it('never notifies its owner during a write while reads are pending', async () => {
    const { output, owner, reader } = await openOutput()
    let isWriting = false
    const calls: boolean[] = []
    for (const method of [owner._drained, owner._lost]) method.mockImplementation(() => calls.push(isWriting))
    for (let i = 0; i < 5; i++) {
      const reads = [reader.read(), reader.read()]
      isWriting = true
      output.write(frameOf(3 * SLICE))
      isWriting = false
      await Promise.all(reads)
      await reader.read()
    }
    expect(calls.length).toBeGreaterThan(0)
    expect(calls).not.toContain(true)
  })

  it('keeps the order when its owner writes during a read', async () => {
    const { transport, owner, next } = await startReading()
    let written = 0
    const fill = () => {
      while (transport.write(Frame.of(`${++written} `.padEnd(CAPACITY / 2), 1).payload) && written < 40);
    }
    owner._drained.mockImplementation(fill)
    fill()
    const numbers: number[] = []
    while (numbers.length < 40) numbers.push(Number(await next()))
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  })
})

describe('a large frame in a web transport', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  const large = 'x'.repeat(SLICE) + 'y'.repeat(SLICE) + 'z'.repeat(SLICE / 2)

  it('is written in slices of 64 KiB, each after the one before was read', async () => {
    const { output, owner, reader } = await openOutput()
    expect(output.write(Frame.of(large, 1))).toBe(false)
    await nextTurn()
    const slices: string[] = []
    for (const count of [1, 2, 3]) {
      slices.push(text((await reader.read()).value))
      expect(owner._drained).toHaveBeenCalledTimes(count === 3 ? 1 : 0)
    }
    expect(slices.map((slice) => slice.length)).toEqual([SLICE, SLICE, SLICE / 2])
    expect(slices.join('')).toBe(large)
  })

  it('is not continued when the client disconnects after its first slice', async () => {
    const { transport, output, owner, reader } = await openOutput()
    output.write(Frame.of(large, 1))
    await nextTurn()
    await reader.read()
    transport.disconnect()
    expect(owner._lost).toHaveBeenCalledTimes(1)
    expect(text((await reader.read()).value)).toHaveLength(SLICE)
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    expect(owner._drained).not.toHaveBeenCalled()
  })

  it('is garbage-collected when its transport is disconnected', async () => {
    const { transport, output, reader } = await openOutput()
    const write = () => {
      const frame = Frame.of(large, 1)
      output.write(frame)
      return new WeakRef(frame.chunk.buffer)
    }
    const bytes = write()
    await reader.read()
    collectGarbage()
    expect(bytes.deref()).toBeDefined()
    await nextTurn()
    transport.disconnect()
    collectGarbage()
    expect(bytes.deref()).toBeUndefined()
    expect(transport.write(frameOf(1).payload)).toBe(false)
  })

  it('restarts the stall timeout after each slice, also after the stream was closed', async () => {
    vi.useFakeTimers()
    const transport = new WebTransport(PREAMBLE)
    const stream = SseStream._open(transport, resolveOptions({ stallTimeout: 5_000, heartbeat: 0 }), 'new')
    const reader = transport.body.getReader()
    await reader.read()
    stream.send({ data: 'x'.repeat(2.5 * SLICE) })
    stream.close()
    await nextTurn()
    for (let slice = 1; slice <= 3; slice++) {
      vi.advanceTimersByTime(4_000)
      expect((await reader.read()).value).toBeDefined()
    }
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    expect(stream.closeReason).toBe('server')
  })
})

describe('the end of a web transport', () => {
  it('is reported when the last byte is read', async () => {
    const { transport, owner, reader } = await startReading()
    transport.write(frameOf(10).payload)
    transport.write(frameOf(20).payload)
    transport.end()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
    await reader.read()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
    expect((await reader.read()).value).toHaveLength(20)
    expect(owner._closed).toHaveBeenCalledExactlyOnceWith()
    expect(await reader.read()).toEqual({ done: true, value: undefined })
  })

  it('is reported immediately when all is read, but not during the call of end()', async () => {
    const { transport, owner, reader } = await startReading()
    const waiting = reader.read()
    transport.end()
    expect(owner._closed).not.toHaveBeenCalled()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('is reported after the preamble of an unread body is read', async () => {
    const { transport, owner, body } = openTransport()
    transport.end()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
    expect(await new Response(body).text()).toBe(PREAMBLE)
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('is preceded by a drain notification for each chunk that is read', async () => {
    const { transport, owner, reader } = await startReading()
    for (let i = 0; i < 5; i++) transport.write(frameOf(10).payload)
    transport.end()
    await nextTurn()
    const before = owner._drained.mock.calls.length
    for (let i = 0; i < 4; i++) await reader.read()
    expect(owner._drained.mock.calls.length - before).toBe(4)
  })

  it.each<[string, (body: ReadableStream) => Promise<void>]>([
    ['a body', (body) => body.cancel('closed')],
    ['a reader', (body) => body.getReader().cancel()],
    ['the body of a response', async (body) => new Response(body).body?.cancel()],
  ])('is reported once, without an error, when %s is cancelled', async (_what, cancel) => {
    const { transport, owner, body } = openTransport()
    await cancel(body)
    expect(owner._closed).toHaveBeenCalledExactlyOnceWith()
    expect(transport.write(frameOf(1).payload)).toBe(false)
    transport.disconnect()
    transport.end()
    transport.destroy()
    await nextTurn()
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('is reported once when the client disconnects, and ends a pending read', async () => {
    const { transport, owner, reader } = await startReading()
    const waiting = reader.read()
    transport.disconnect()
    transport.disconnect()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await reader.closed
    expect(owner._closed).toHaveBeenCalledExactlyOnceWith()
    expect(transport.write(frameOf(1).payload)).toBe(false)
  })

  it('is reported once when the client disconnects before it is read', async () => {
    const { transport, owner } = openTransport()
    transport.end()
    await nextTurn()
    transport.disconnect()
    await nextTurn()
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  // The server of SvelteKit calls `cancel` a second time and ignores its result.
  it.each(['read', 'not read'])(
    'allows the server to cancel a body that was %s before the client disconnected',
    async (state) => {
      const { transport, body } = openTransport()
      const reader = body.getReader()
      if (state === 'read') await reader.read()
      transport.disconnect()
      await expect(reader.cancel('closed')).resolves.toBeUndefined()
      await expect(reader.closed).resolves.toBeUndefined()
    },
  )

  it('makes a pending read reject with an AbortError after destroy()', async () => {
    const { transport, owner, reader } = await startReading()
    transport.write(frameOf(10).payload)
    transport.destroy()
    await expect(reader.read()).rejects.toMatchObject({ name: 'AbortError' })
    expect(transport.write(frameOf(10).payload)).toBe(false)
    transport.disconnect()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
  })

  it('causes no unhandled rejection after destroy() of an unread, locked, piped or cloned body', async () => {
    const onUnhandled = vi.fn()
    process.on('unhandledRejection', onUnhandled)
    const locked = openTransport()
    locked.body.getReader()
    const piped = openTransport()
    const through = piped.body.pipeThrough(new TransformStream())
    const cloned = openTransport()
    const [one, two] = cloned.body.tee()
    for (const { transport } of [openTransport(), locked, piped, cloned]) transport.destroy()
    for (const each of [through, one, two]) {
      await expect(new Response(each).text()).rejects.toMatchObject({ name: 'AbortError' })
    }
    await nextTurn()
    await nextTurn()
    process.off('unhandledRejection', onUnhandled)
    expect(onUnhandled).not.toHaveBeenCalled()
  })
})

describe('the bytes of a web transport', () => {
  const DATA = `data: ${'é'.repeat(3000)}\n\n`

  // All clients share a frame, and small frames are in the buffer pool of the process.
  it.each<[string, (body: ReadableStream<Uint8Array>) => Promise<unknown>]>([
    ['alters them', (body) => body.pipeTo(new WritableStream({ write: (chunk) => void chunk.fill(0) }))],
    [
      'transfers them',
      (body) =>
        body.pipeTo(
          new WritableStream({
            write: (chunk) => void structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] }),
          }),
        ),
    ],
    ['makes a byte stream of them', (body) => new Response(toByteStream(body)).text()],
    [
      'reads them into its own buffer',
      (body) => toByteStream(body).getReader({ mode: 'byob' }).read(new Uint8Array(100)),
    ],
    [
      'compresses them',
      (body) => new Response(body.pipeThrough(new CompressionStream('gzip'))).arrayBuffer(),
    ],
    ['clones the body', (body) => Promise.all(body.tee().map((each) => new Response(each).text()))],
    ['transfers the body', (body) => new Response(structuredClone(body, { transfer: [body] })).text()],
  ])('do not change for other clients when one reader %s', async (_action, consume) => {
    const frames = [Frame.of(DATA, 1), Frame.of('data: small\n\n', 1)]
    const bodyOf = () => {
      const { transport, body } = openTransport()
      for (const frame of frames) transport.write(frame.payload)
      transport.end()
      return body
    }
    const [one, other] = [bodyOf(), bodyOf()]
    await consume(one)
    expect(await new Response(other).text()).toBe(`${PREAMBLE}${DATA}data: small\n\n`)
    expect(frames.map(({ payload }) => payload.toString())).toEqual([DATA, 'data: small\n\n'])
  })

  it('are a plain Uint8Array with a separate buffer for each chunk', async () => {
    const { transport, reader } = await startReading()
    transport.write(Frame.of('data: 1\n\n', 1).payload)
    const { value } = await reader.read()
    expect(value?.constructor).toBe(Uint8Array)
    expect(value?.buffer.byteLength).toBe(9)
  })
})

/** Returns a byte stream of a body, as a careless middleware does. Its controller detaches the buffer of each chunk. */
function toByteStream(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  }) as ReadableStream<Uint8Array>
}
