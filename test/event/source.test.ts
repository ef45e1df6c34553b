import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { describe, expect, it, vi } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import type { Source } from '../../src/event/source.ts'
import { parseEvents } from '../support/parse.ts'
import { fakeStream, nextTurn } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })
/** Returns a Node stream of bytes, in one chunk for each text. */
const bytesOf = (chunks: readonly string[]) => Readable.from(chunks.map((each) => Buffer.from(each)))

const two = [{ data: 'a' }, { data: 'b' }]

/** Returns the data of all events that a client has received. */
const read = (transport: { writes: string[] }) =>
  parseEvents(transport.writes.join('')).map((event) => event.data)

describe('sendAll', () => {
  it.each<[string, () => Source]>([
    ['an iterable', () => two],
    ['a generator', () => two.values()],
    ['an async generator', () => Readable.from(two).iterator()],
    ['a Node stream of events', () => Readable.from(two)],
    ['a web stream of events', () => ReadableStream.from(two)],
    ['a web stream of text', () => ReadableStream.from(['a', 'b'])],
    // `lib.dom.d.ts` of TypeScript up to 5.9 does not declare `ReadableStream` as iterable.
    ['a web stream that is not iterable', () => ({ getReader: () => ReadableStream.from(two).getReader() })],
    ['a Node stream of bytes', () => Readable.from([Buffer.from('a'), Buffer.from('b')])],
  ])('sends the items of %s', async (_name, source) => {
    const { stream, transport } = fakeStream()
    await expect(stream.sendAll(source())).resolves.toBe(true)
    await nextTurn()
    expect(read(transport)).toEqual(['a', 'b'])
    expect(stream.closed).toBe(false)
  })

  it('closes a source that closes the stream while it is opened, although it never yields', async () => {
    const { stream } = fakeStream()
    const close = vi.fn(async () => ({ done: true as const, value: undefined }))
    const source: Source = {
      [Symbol.asyncIterator]: () => {
        stream.close()
        return { next: () => new Promise<never>(() => {}), return: close }
      },
    }
    await expect(stream.sendAll(source)).resolves.toBe(false)
    expect(close).toHaveBeenCalledOnce()
  })

  it('joins a character that is split over two chunks (rule 35)', async () => {
    const { stream, transport } = fakeStream()
    const bytes = Buffer.from('é🦆\ufeff')
    await stream.sendAll(Array.from(bytes, (byte) => Uint8Array.of(byte)))
    await nextTurn()
    expect(read(transport)).toEqual(['é', '🦆', '\ufeff'])
  })

  it.each<[string, string[], string[]]>([
    ['in two chunks', ['a🦆b'.slice(0, 2), 'a🦆b'.slice(2)], ['a', '🦆b']],
    ['around an empty chunk', ['\ud83e', '', '\udd86'], ['🦆']],
    ['in chunks of one code unit', [...'x🦆🎉y'.split('')], ['x', '🦆', '🎉', 'y']],
    [
      'but no other half',
      ['a\ud83e', 'b', '\udd86c', '\ud83e\r', '\n'],
      ['a', '\ufffdb', '\ufffdc', '\ufffd', '\n'],
    ],
    ['but not the last one', ['a', '\ud83e'], ['a', '\ufffd']],
  ])(
    'joins a surrogate pair that is split over two chunks of text, %s (rule 40)',
    async (_name, chunks, expected) => {
      const sources: Source[] = [
        chunks,
        Readable.from(chunks),
        ReadableStream.from(chunks),
        (async function* () {
          yield* chunks
        })(),
      ]
      for (const source of sources) {
        const { stream, transport } = fakeStream()
        await stream.sendAll(source)
        await nextTurn()
        expect(read(transport)).toEqual(expected)
      }
    },
  )

  it('joins a surrogate pair around an event, and keeps the order of text and bytes', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll(['a\ud83e', { data: 'event' }, '\udd86', '\ud83e', Buffer.from('b')])
    await nextTurn()
    expect(read(transport)).toEqual(['a', 'event', '🦆', '\ufffdb'])
  })

  it('joins no halves of two events or comments, each of which is sent as U+FFFD (rule 9)', async () => {
    const { stream, transport } = fakeStream()
    stream.send({ data: 'a\ud83e' })
    stream.send({ data: '\udd86b', event: '\ud83e' })
    stream.comment('\ud83e')
    await stream.sendAll([{ data: '\ud83e' }, { data: '\udd86' }])
    await nextTurn()
    expect(read(transport)).toEqual(['a\ufffd', '\ufffdb', '\ufffd', '\ufffd'])
    expect(transport.writes.join('')).toContain('event: \ufffd\ndata: \ufffdb\n\n: \ufffd\n')
  })

  it('sends an incomplete character at the end as U+FFFD', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll([Uint8Array.of(0x61, 0xc3)])
    await nextTurn()
    expect(read(transport)).toEqual(['a', '\ufffd'])
  })

  it('reads a CRLF that is split over two chunks as one line end', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll(['a\r', '\nb', 'c\r'])
    await nextTurn()
    expect(read(transport)).toEqual(['a', '\nb', 'c', '\n'])
  })

  it.each(['text', Buffer.from('bytes'), 7, null, undefined, {}, () => {}])(
    'rejects %s as a source',
    async (source) => {
      await expect(fakeStream().stream.sendAll(source as never)).rejects.toThrow(code('ERR_SSE_SOURCE'))
    },
  )

  it.each<[string, string[]]>([
    ['in one chunk', ['id: 1\ndata: a\n\n']],
    ['with CRLF', ['data: a\r\n\r\n']],
    ['after a preamble', [':\nretry: 2000\n', 'event: a\n', 'data: b\n\n']],
    ['in single bytes', [...'data:a\n\n']],
    ['that begins with a comment', [': processing\n\n']],
  ])('rejects the bytes of an event stream with a message that names parseEvents: %s', async (_, chunks) => {
    for (const source of [ReadableStream.from(chunks.map((each) => Buffer.from(each))), bytesOf(chunks)]) {
      const all = fakeStream().stream.sendAll(source as never)
      await expect(all).rejects.toThrow(code('ERR_SSE_SOURCE'))
      await expect(all).rejects.toThrow('parseEvents()')
    }
  })

  it('rejects a Response with a message that names parseEvents', async () => {
    const all = fakeStream().stream.sendAll(new Response('data: a\n\n') as never)
    await expect(all).rejects.toThrow(code('ERR_SSE_SOURCE'))
    await expect(all).rejects.toThrow('parseEvents()')
  })

  it.each([
    ['bytes in which a field follows other text', Buffer.from('the data:\ndata: a\n\n')],
    ['bytes without a blank line', Buffer.from('id: 7\nname: a\n\n')],
    ['bytes of one line', Buffer.from('data: a\r\nb')],
    ['the text of an event stream, as of a language model', 'data: a\n\n'],
  ])('sends %s unchanged', async (_, chunk) => {
    const { stream, transport } = fakeStream()
    await stream.sendAll([chunk])
    await nextTurn()
    expect(read(transport)).toEqual([String(chunk).replaceAll('\r\n', '\n')])
  })

  it('pauses the source while the transport is full', async () => {
    const { stream, transport } = fakeStream()
    let yielded = 0
    async function* endless() {
      for (;;) yield { data: yielded++ }
    }
    transport.isFull = true
    const all = stream.sendAll(endless())
    await nextTurn()
    await nextTurn()
    const ahead = yielded
    await nextTurn()
    expect(yielded).toBe(ahead)
    transport.drain()
    await nextTurn()
    expect(yielded).toBeGreaterThan(ahead)
    stream.destroy()
    await expect(all).resolves.toBe(false)
  })

  it('lets other tasks run between the items of a synchronous source', async () => {
    const { stream } = fakeStream()
    let yielded = 0
    function* endless() {
      for (;;) yield { data: yielded++ }
    }
    const all = stream.sendAll(endless())
    await nextTurn()
    await nextTurn()
    stream.close()
    await expect(all).resolves.toBe(false)
    expect(yielded).toBeLessThan(100_000)
  })

  it('rejects with the error of the source and keeps the stream open', async () => {
    const { stream, transport } = fakeStream()
    const error = new Error('source')
    async function* failing() {
      yield { data: 1 }
      throw error
    }
    await expect(stream.sendAll(failing())).rejects.toBe(error)
    await nextTurn()
    expect(read(transport)).toEqual(['1'])
    expect(stream.send({ data: 2 })).toBe(true)
  })

  it('closes a source that yields an invalid event', async () => {
    let isClosed = false
    function* bad(): Generator<SseEvent> {
      try {
        yield { event: 'a\nb', data: 1 }
      } finally {
        isClosed = true
      }
    }
    await expect(fakeStream().stream.sendAll(bad())).rejects.toThrow(code('ERR_SSE_EVENT_NAME'))
    await nextTurn()
    expect(isClosed).toBe(true)
  })

  // fastify-sse-v2 never closed the generator after a disconnect.
  it('closes a generator when the client disconnects (rule 34)', async () => {
    const { stream, transport } = fakeStream()
    let isClosed = false
    async function* slow() {
      try {
        for (;;) {
          yield { data: 1 }
          await nextTurn()
        }
      } finally {
        isClosed = true
      }
    }
    const all = stream.sendAll(slow())
    await nextTurn()
    transport.lose()
    await expect(all).resolves.toBe(false)
    await nextTurn()
    await nextTurn()
    expect(isClosed).toBe(true)
  })

  it.each<[string, () => { source: Source; isClosed: () => boolean }]>([
    [
      'a Node stream',
      () => {
        const source = new Readable({ objectMode: true, read() {} })
        return { source, isClosed: () => source.destroyed }
      },
    ],
    [
      'a web stream',
      () => {
        let isClosed = false
        const source = new ReadableStream<SseEvent>({
          cancel() {
            isClosed = true
          },
        })
        return { source, isClosed: () => isClosed }
      },
    ],
    [
      'an iterator',
      () => {
        let isClosed = false
        const iterator: AsyncIterator<SseEvent> = {
          next: () => new Promise(() => {}),
          return: async () => {
            isClosed = true
            return { done: true, value: undefined }
          },
        }
        return { source: { [Symbol.asyncIterator]: () => iterator }, isClosed: () => isClosed }
      },
    ],
  ])('closes %s when the client disconnects during a pending read (rule 34)', async (_name, create) => {
    const { stream, transport } = fakeStream()
    const { source, isClosed } = create()
    const all = stream.sendAll(source)
    await nextTurn()
    transport.lose()
    await expect(all).resolves.toBe(false)
    await nextTurn()
    expect(isClosed()).toBe(true)
  })

  // better-sse `session.stream` crashed the process when its source emitted after a disconnect.
  it('ignores the items and errors of a Node stream after the client has disconnected', async () => {
    const { stream, transport } = fakeStream()
    const source = new Readable({ objectMode: true, read() {} })
    const all = stream.sendAll(source)
    source.push({ data: 1 })
    await nextTurn()
    await nextTurn()
    transport.lose()
    await expect(all).resolves.toBe(false)
    source.push({ data: 2 })
    source.destroy(new Error('late'))
    await nextTurn()
    expect(read(transport)).toEqual(['1'])
  })

  it('ignores the error of a Node stream that is passed to a closed stream', async () => {
    const { stream } = fakeStream()
    stream.close()
    const source = createReadStream('/there/is/no/such/file')
    await expect(stream.sendAll(source)).resolves.toBe(false)
    // Vitest fails the run for an uncaught error.
    await new Promise<void>((resolve) => source.once('close', () => resolve()))
  })

  it('closes a source that is passed to a closed stream without reading it', async () => {
    const { stream } = fakeStream()
    stream.close()
    const source = new Readable({ objectMode: true, read() {} })
    await expect(stream.sendAll(source)).resolves.toBe(false)
    await nextTurn()
    expect(source.destroyed).toBe(true)
  })
})
