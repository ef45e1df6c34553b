import { randomBytes } from 'node:crypto'
import { Readable, type Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import zlib from 'node:zlib'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { compress } from '../../src/compression/compress.ts'
import { supportedEncodings } from '../../src/compression/zlib.ts'
import { Frame } from '../../src/event/frame.ts'
import { resolveOptions } from '../../src/http/options.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { decode } from '../support/decode.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { closed } from '../support/streams.ts'

const CODECS = supportedEncodings().filter((encoding) => encoding !== 'gzip')
const PREAMBLE = ':\n'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Collects the streams of zlib that are created from now on. */
function watchCodecs(): Transform[] {
  const created: Transform[] = []
  for (const name of ['createBrotliCompress', 'createZstdCompress'] as const) {
    const original = (zlib as unknown as Record<string, ((options: object) => Transform) | undefined>)[name]
    if (!original) continue
    vi.spyOn(zlib, name as 'createBrotliCompress').mockImplementation((options = {}) => {
      created.push(original(options))
      return created.at(-1) as never
    })
  }
  return created
}

const isFree = (codec: Transform) => codec.destroyed && !(codec as { _handle?: object | null })._handle

function openTransport(encoding = CODECS[0]) {
  const output = new FakeTransport()
  const chunks: Buffer[] = []
  const write = vi.spyOn(output, 'write').mockImplementation((bytes) => {
    chunks.push(Buffer.from(bytes))
    return !output.isFull
  })
  const owner = { _drained: vi.fn(), _closed: vi.fn() }
  const transport = compress(output, encoding, PREAMBLE)
  transport.open(owner)
  onTestFinished(() => transport.destroy())
  return { output, transport, owner, write, body: () => Buffer.concat(chunks) }
}

/** Writes incompressible bytes until the transport is full. Returns how many. */
function fill({ transport }: ReturnType<typeof openTransport>): number {
  let size = 0
  for (let hasRoom = true; hasRoom; size += 1024) hasRoom = transport.write(randomBytes(1024))
  return size
}

describe.each(CODECS)('a stream of %s', (encoding) => {
  function openStream() {
    const output = new FakeTransport()
    const stream = SseStream._open(compress(output, encoding, PREAMBLE), resolveOptions({}), 'new')
    return { output, stream }
  }

  it('frees the native handle of each of 1 000 streams, however they end', async () => {
    const codecs = watchCodecs()
    for (let batch = 0; batch < 20; batch++) {
      const opened = Array.from({ length: 50 }, openStream)
      for (const { stream } of opened) stream.send({ data: 'x' })
      if (batch % 2 === 0) await turn()
      const ends = opened.map(async ({ output, stream }, i) => {
        const end = closed(stream)
        if (i % 3 === 0) stream.destroy()
        else if (i % 3 === 1) output.lose()
        else {
          output.end = () => output.lose()
          stream.close()
        }
        await end
      })
      await Promise.all(ends)
    }
    expect(codecs).toHaveLength(1_000)
    await vi.waitFor(() => expect(codecs.filter((codec) => !isFree(codec))).toEqual([]), 30_000)
  })

  it('is not read and accepts no more than 64 KiB while its client does not read', async () => {
    const opened = openTransport(encoding)
    const { output, write, owner } = opened
    output.isFull = true
    const size = fill(opened)
    expect(size).toBeLessThanOrEqual(64 * 1024)
    await vi.waitFor(() => expect(write).toHaveBeenCalled(), 30_000)
    for (let i = 0; i < 10; i++) await turn()
    const calls = write.mock.calls.length
    expect(calls).toBeLessThan(4)
    expect(owner._drained).not.toHaveBeenCalled()
    expect(opened.transport.hasUnsent).toBe(true)
    output.isFull = false
    output.drain()
    await vi.waitFor(() => expect(owner._drained).toHaveBeenCalledTimes(1), 30_000)
    expect(write.mock.calls.length).toBeGreaterThan(calls)
  })

  it('closes its stream with an error of zlib, and cuts the connection', async () => {
    const codecs = watchCodecs()
    const { output, stream } = openStream()
    const end = closed(stream)
    const error = new Error('zlib')
    codecs[0]?.destroy(error)
    expect(await end).toEqual({ reason: 'error', error })
    expect(output.isDestroyed).toBe(true)
  })

  it('ignores writes after its client has disconnected', async () => {
    const { output, transport, owner } = openTransport(encoding)
    output.lose()
    expect(transport.write(Buffer.from('late'))).toBe(false)
    transport.end()
    transport.destroy()
    for (let i = 0; i < 5; i++) await turn()
    expect(owner._closed).toHaveBeenCalledTimes(1)
  })

  it('writes a valid end before it ends the body', async () => {
    const { transport, output, body } = openTransport(encoding)
    transport.write(Frame.of('data: 1\n\n', 1).payload)
    transport.end()
    await vi.waitFor(() => expect(output.isEnded).toBe(true), 30_000)
    expect(await text(decode(Readable.from([body()]), encoding))).toBe(':\ndata: 1\n\n')
  })
})

describe.each([...CODECS, 'gzip' as const])('a stream of %s', (encoding) => {
  async function openFailing(method: 'write' | 'end') {
    const error = new Error(method)
    const output = new FakeTransport()
    const stream = SseStream._open(compress(output, encoding, PREAMBLE), resolveOptions({}), 'new')
    await vi.waitFor(() => expect(output.writes).not.toEqual([]), 30_000)
    vi.spyOn(output, method).mockImplementation(() => {
      throw error
    })
    return { error, output, stream, end: closed(stream) }
  }

  it('closes with the error of the write of a middleware, and cuts the connection', async () => {
    const { error, output, stream, end } = await openFailing('write')
    stream.send({ data: 'x' })
    expect(await end).toEqual({ reason: 'error', error })
    expect(output.isDestroyed).toBe(true)
  })

  it('cuts the connection if the end of a middleware throws', async () => {
    const { output, stream, end } = await openFailing('end')
    stream.close()
    expect(await end).toMatchObject({ reason: 'server' })
    await vi.waitFor(() => expect(output.isDestroyed).toBe(true), 30_000)
  })
})

describe('a stream of gzip', () => {
  it.each(['its first bytes', 'an event'])(
    'closes with an error of zlib for %s, and cuts the connection',
    async (what) => {
      const error = new Error('zlib')
      const fail = () => {
        vi.spyOn(zlib, 'deflateRawSync').mockImplementation(() => {
          throw error
        })
      }
      const output = new FakeTransport()
      if (what === 'its first bytes') fail()
      const stream = SseStream._open(compress(output, 'gzip', PREAMBLE), resolveOptions({}), 'new')
      const end = closed(stream)
      if (what === 'an event') fail()
      stream.send({ data: 'x' })
      expect(await end).toEqual({ reason: 'error', error })
      expect(output.isDestroyed).toBe(true)
    },
  )
})
