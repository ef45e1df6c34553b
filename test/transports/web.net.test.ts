import type { IncomingMessage, ServerResponse } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { getRequestListener } from '@hono/node-server'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { resolveOptions, type SseStreamOptions } from '../../src/http/options.ts'
import { Output } from '../../src/stream/output.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { WebTransport } from '../../src/transports/web-body.ts'
import { rawClient } from '../support/client.ts'
import { nextTurn } from '../support/streams.ts'
import { transportContract } from './contract.ts'

// The contract makes its streams from what Node hands to a server. Here a server of web responses stands between.
vi.mock('../../src/http/create-sse-stream.ts', () => ({
  createSseStream(request: IncomingMessage, response: ServerResponse, options: SseStreamOptions): SseStream {
    let made: SseStream | undefined
    const answer = (asked: Request) =>
      createSseResponse(
        asked,
        (stream) => {
          made = stream as SseStream
        },
        options,
      )
    void getRequestListener(answer)(request, response)
    return made as SseStream
  },
}))

// What the server logs when a stream is cut off.
vi.spyOn(console, 'error').mockImplementation(() => {})

transportContract({ name: 'a web response on HTTP/1.1', protocol: 'http' })
transportContract({ name: 'a web response on HTTP/1.1 over TLS', protocol: 'https' })
transportContract({ name: 'a web response on HTTP/2', protocol: 'h2c' })
transportContract({
  name: 'a web response on HTTP/1.0',
  protocol: 'http',
  tellsEnd: false,
  ask: async (port) => rawClient(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'),
})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const OPENING = ':\nretry: 2000\n'
const ROOM = 16 * 1024
const PIECE = 64 * 1024

/** What a stream gives its transport to tell it. */
function ownerSpy() {
  return { _drained: vi.fn(), _closed: vi.fn() }
}

function opened() {
  const transport = new WebTransport(OPENING)
  const owner = ownerSpy()
  transport.open(owner)
  return { transport, owner, body: transport.body }
}

/** An output over a transport whose reader has read the preamble, and nothing else. */
async function readOutput() {
  const transport = new WebTransport(OPENING)
  const owner = { _drained: vi.fn(), _lost: vi.fn() }
  const output = new Output(owner)
  output.start(transport)
  const reader = transport.body.getReader()
  await reader.read()
  return { transport, output, owner, reader }
}

/** A transport whose reader has taken the opening, and nothing else. */
async function read() {
  const { transport, owner, body } = opened()
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
  it('begins with the opening, before anything was written', async () => {
    const reader = opened().body.getReader()
    expect(text((await reader.read()).value)).toBe(OPENING)
  })

  it('hands out each frame as a chunk', async () => {
    const { transport, next } = await read()
    transport.write(Frame.of('data: 1\n\n', 1).payload)
    transport.write(Frame.of('data: é\n\n', 1).payload)
    expect([await next(), await next()]).toEqual(['data: 1\n\n', 'data: é\n\n'])
  })

  it('counts bytes, and not chunks: it is full with one that is large, and not with two that are small', async () => {
    const { transport } = await read()
    expect(transport.write(frameOf(ROOM / 2).payload)).toBe(true)
    expect(transport.write(frameOf(ROOM / 2 - 1).payload)).toBe(true)
    const other = (await read()).transport
    expect(other.write(frameOf(ROOM).payload)).toBe(false)
  })

  it('is full after sixteen chunks, however small, so that one that nobody reads is noticed', () => {
    const { transport } = opened()
    const answers = Array.from({ length: 15 }, () => transport.write(frameOf(2).payload))
    expect(answers).toEqual([...Array(14).fill(true), false])
  })

  it('says once that there is room, when a part of what filled it was read', async () => {
    const { transport, owner, reader } = await read()
    transport.write(frameOf(ROOM / 2).payload)
    expect(transport.write(frameOf(ROOM / 2).payload)).toBe(false)
    await nextTurn()
    expect(owner._drained).not.toHaveBeenCalled()
    await reader.read()
    expect(owner._drained).toHaveBeenCalledTimes(1)
    await reader.read()
    expect(owner._drained).toHaveBeenCalledTimes(1)
  })

  it('says nothing of room while it is never full', async () => {
    const { transport, owner, reader } = await read()
    for (let i = 0; i < 10; i++) {
      const waiting = reader.read()
      expect(transport.write(frameOf(ROOM - 1).payload)).toBe(true)
      await waiting
    }
    expect([owner._drained, owner._closed].flatMap((each) => each.mock.calls)).toEqual([])
  })

  it('never calls its owner from within a write, whoever waits for a chunk', async () => {
    const { output, owner, reader } = await readOutput()
    let isWriting = false
    const calls: boolean[] = []
    for (const said of [owner._drained, owner._lost]) said.mockImplementation(() => calls.push(isWriting))
    for (let i = 0; i < 5; i++) {
      const reads = [reader.read(), reader.read()]
      isWriting = true
      output.write(frameOf(3 * PIECE))
      isWriting = false
      await Promise.all(reads)
      await reader.read()
    }
    expect(calls.length).toBeGreaterThan(0)
    expect(calls).not.toContain(true)
  })

  it('keeps the order when its owner writes on from within a read', async () => {
    const { transport, owner, next } = await read()
    let written = 0
    const fill = () => {
      while (transport.write(Frame.of(`${++written} `.padEnd(ROOM / 2), 1).payload) && written < 40);
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
  const large = 'x'.repeat(PIECE) + 'y'.repeat(PIECE) + 'z'.repeat(PIECE / 2)

  it('goes in pieces of 64 KiB, whole and in order, the next when the one before was taken', async () => {
    const { output, owner, reader } = await readOutput()
    expect(output.write(Frame.of(large, 1))).toBe(false)
    await nextTurn()
    const pieces: string[] = []
    for (const count of [1, 2, 3]) {
      pieces.push(text((await reader.read()).value))
      expect(owner._drained).toHaveBeenCalledTimes(count === 3 ? 1 : 0)
    }
    expect(pieces.map((piece) => piece.length)).toEqual([PIECE, PIECE, PIECE / 2])
    expect(pieces.join('')).toBe(large)
  })

  it('is let go of when the client leaves in the middle of it', async () => {
    const { transport, output, owner, reader } = await readOutput()
    output.write(Frame.of(large, 1))
    await nextTurn()
    await reader.read()
    transport.disconnect()
    expect(owner._lost).toHaveBeenCalledTimes(1)
    expect(text((await reader.read()).value)).toHaveLength(PIECE)
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    expect(owner._drained).not.toHaveBeenCalled()
  })

  it('is not held by a transport that is over', async () => {
    const { transport, output, reader } = await readOutput()
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

  it('gives its client the stall time for each piece, and for each chunk at the end', async () => {
    vi.useFakeTimers()
    const transport = new WebTransport(OPENING)
    const stream = SseStream._open(transport, resolveOptions({ stallTimeout: 5_000, heartbeat: 0 }), 'new')
    const reader = transport.body.getReader()
    await reader.read()
    stream.send({ data: 'x'.repeat(2.5 * PIECE) })
    stream.close()
    await nextTurn()
    for (let piece = 1; piece <= 3; piece++) {
      vi.advanceTimersByTime(4_000)
      expect((await reader.read()).value).toBeDefined()
    }
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    expect(stream.closeReason).toBe('server')
  })
})

describe('the end of a web transport', () => {
  it('waits until the last byte was read', async () => {
    const { transport, owner, reader } = await read()
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

  it('comes at once when all was read, yet not from within the call', async () => {
    const { transport, owner, reader } = await read()
    const waiting = reader.read()
    transport.end()
    expect(owner._closed).not.toHaveBeenCalled()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('waits for the opening too, in a body that nobody has begun to read', async () => {
    const { transport, owner, body } = opened()
    transport.end()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
    expect(await new Response(body).text()).toBe(OPENING)
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('says that it moves with each chunk that is read', async () => {
    const { transport, owner, reader } = await read()
    for (let i = 0; i < 5; i++) transport.write(frameOf(10).payload)
    transport.end()
    await nextTurn()
    const before = owner._drained.mock.calls.length
    for (let i = 0; i < 4; i++) await reader.read()
    expect(owner._drained.mock.calls.length - before).toBe(4)
  })

  it.each<[string, (body: ReadableStream) => Promise<void>]>([
    ['a body', (body) => body.cancel('gone')],
    ['a reader', (body) => body.getReader().cancel()],
    ['the body of a response', async (body) => new Response(body).body?.cancel()],
  ])('comes once when %s is cancelled, without an error', async (_what, cancel) => {
    const { transport, owner, body } = opened()
    await cancel(body)
    expect(owner._closed).toHaveBeenCalledExactlyOnceWith()
    expect(transport.write(frameOf(1).payload)).toBe(false)
    transport.disconnect()
    transport.end()
    transport.destroy()
    await nextTurn()
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('comes once when the client leaves, and whoever waits for a chunk waits no more', async () => {
    const { transport, owner, reader } = await read()
    const waiting = reader.read()
    transport.disconnect()
    transport.disconnect()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await reader.closed
    expect(owner._closed).toHaveBeenCalledExactlyOnceWith()
    expect(transport.write(frameOf(1).payload)).toBe(false)
  })

  it('comes once when the client leaves while the end waits to be read', async () => {
    const { transport, owner } = opened()
    transport.end()
    await nextTurn()
    transport.disconnect()
    await nextTurn()
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  // A server that hears of it twice: SvelteKit's does not look at what its second `cancel` answers.
  it.each(['read', 'unread'])('lets the server cancel a body, %s, whose client has left', async (state) => {
    const { transport, body } = opened()
    const reader = body.getReader()
    if (state === 'read') await reader.read()
    transport.disconnect()
    await expect(reader.cancel('gone')).resolves.toBeUndefined()
    await expect(reader.closed).resolves.toBeUndefined()
  })

  it('is a broken body when it is destroyed: what waits is lost, and the name says that nobody is at fault', async () => {
    const { transport, owner, reader } = await read()
    transport.write(frameOf(10).payload)
    transport.destroy()
    await expect(reader.read()).rejects.toMatchObject({ name: 'AbortError' })
    expect(transport.write(frameOf(10).payload)).toBe(false)
    transport.disconnect()
    await nextTurn()
    expect(owner._closed).not.toHaveBeenCalled()
  })

  it('breaks a body that is locked, and one that is read by nobody, without a rejection that nobody handles', async () => {
    const onUnhandled = vi.fn()
    process.on('unhandledRejection', onUnhandled)
    const locked = opened()
    locked.body.getReader()
    const piped = opened()
    const through = piped.body.pipeThrough(new TransformStream())
    const cloned = opened()
    const [one, two] = cloned.body.tee()
    for (const { transport } of [opened(), locked, piped, cloned]) transport.destroy()
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

  // Frames are shared by all clients, and small ones lie in the pool of all buffers of the process.
  it.each<[string, (body: ReadableStream<Uint8Array>) => Promise<unknown>]>([
    ['that alters them', (body) => body.pipeTo(new WritableStream({ write: (chunk) => void chunk.fill(0) }))],
    [
      'that transfers them',
      (body) =>
        body.pipeTo(
          new WritableStream({
            write: (chunk) => void structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] }),
          }),
        ),
    ],
    ['that makes a byte stream of them', (body) => new Response(toByteStream(body)).text()],
    [
      'that reads them into a buffer of its own',
      (body) => toByteStream(body).getReader({ mode: 'byob' }).read(new Uint8Array(100)),
    ],
    [
      'that compresses them',
      (body) => new Response(body.pipeThrough(new CompressionStream('gzip'))).arrayBuffer(),
    ],
    ['that has them twice', (body) => Promise.all(body.tee().map((each) => new Response(each).text()))],
    [
      'that moves the body elsewhere',
      (body) => new Response(structuredClone(body, { transfer: [body] })).text(),
    ],
  ])('are the same for others, whatever is done by one %s', async (_what, doWith) => {
    const frames = [Frame.of(DATA, 1), Frame.of('data: small\n\n', 1)]
    const bodyOf = () => {
      const { transport, body } = opened()
      for (const frame of frames) transport.write(frame.payload)
      transport.end()
      return body
    }
    const [one, other] = [bodyOf(), bodyOf()]
    await doWith(one)
    expect(await new Response(other).text()).toBe(`${OPENING}${DATA}data: small\n\n`)
    expect(frames.map(({ payload }) => payload.toString())).toEqual([DATA, 'data: small\n\n'])
  })

  it('are plain, and each chunk has its buffer for itself', async () => {
    const { transport, reader } = await read()
    transport.write(Frame.of('data: 1\n\n', 1).payload)
    const { value } = await reader.read()
    expect(value?.constructor).toBe(Uint8Array)
    expect(value?.buffer.byteLength).toBe(9)
  })
})

/** What a careless middleware does: the controller of a byte stream takes the buffer of a chunk away. */
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
