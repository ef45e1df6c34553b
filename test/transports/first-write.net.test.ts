import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get, rawClient } from '../support/client.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'

/** Serves streams, and records what the sockets of the responses pass to the kernel, one text for each write. */
async function serveRecorded(
  onStream: (stream: SseStream, response: ServerResponse) => void,
  options: SseStreamOptions = {},
  protocol: Protocol = 'http',
  prepare: (response: ServerResponse) => void = () => {},
) {
  const writes: string[] = []
  const { port } = await serve((request, response) => {
    const socket = response.socket as Socket
    const { _write: write, _writev: writev } = socket
    socket._write = (chunk, encoding, done) => {
      writes.push(String(chunk))
      write.call(socket, chunk, encoding, done)
    }
    socket._writev = (chunks, done) => {
      writes.push(chunks.map(({ chunk }) => String(chunk)).join(''))
      writev?.call(socket, chunks, done)
    }
    prepare(response)
    onStream(createSseStream(request, response, options), response as ServerResponse)
  }, protocol)
  return { port, writes }
}

test.each<Protocol>(['http', 'https'])(
  'the events of the first turn are sent in one write with the headers, over %s',
  async (protocol) => {
    const { port, writes } = await serveRecorded(
      (stream) => {
        stream.send({ data: 'one' })
        queueMicrotask(() => stream.send({ data: 'two' }))
      },
      {},
      protocol,
    )
    await (await get(protocol, port)).until('two')
    expect(writes).toEqual([expect.stringMatching(/^HTTP[\s\S]*retry[\s\S]*data: one\n[\s\S]*data: two\n/)])
  },
)

test('the first position of a channel is sent in one write with the headers', async () => {
  const hub = new Hub()
  const { port, writes } = await serveRecorded((stream) => void hub.subscribe(stream, 'news'))
  await (await get('http', port)).until('event: position')
  expect(writes).toEqual([expect.stringMatching(/^HTTP[\s\S]*retry[\s\S]*event: position\n/)])
})

test('events that overflow the first turn are sent after the headers', async () => {
  const { port, writes } = await serveRecorded((stream) => {
    for (let id = 0; id < 100; id++) stream.send({ id, data: 'x'.repeat(20_000) })
  })
  const client = await get('http', port)
  await client.until('id: 99\n')
  expect(writes[0]).toMatch(/^HTTP/)
  expect(client.body.match(/^id: \d+$/gm)).toEqual(Array.from({ length: 100 }, (_, id) => `id: ${id}`))
})

test.each<[string, SseStreamOptions, string]>([
  ['of a stream without events', {}, ''],
  ['without a preamble', { preamble: false }, ''],
  ['with flushInterval, although the event waits', { flushInterval: 600_000 }, ''],
  ['of a stream with gzip', { compress: true }, 'Accept-Encoding: gzip\r\n'],
  ['of a stream with gzip and no preamble', { compress: true, preamble: false }, 'Accept-Encoding: gzip\r\n'],
  ['of a stream with brotli and no preamble', { compress: true, preamble: false }, 'Accept-Encoding: br\r\n'],
])('the headers are sent %s', async (_case, options, header) => {
  const { port, writes } = await serveRecorded((stream) => {
    if (options.flushInterval) stream.send({ data: 'later' })
  }, options)
  const client = rawClient(port, `GET / HTTP/1.1\r\nHost: a\r\n${header}\r\n`)
  await client.until('\r\n\r\n')
  expect(writes[0]).toMatch(/^HTTP\/1.1 200 OK\r\n/)
  expect(writes.join('')).not.toContain('later')
})

test('the headers are sent of a stream that is destroyed in its first turn', async () => {
  const { port, writes } = await serveRecorded((stream) => stream.destroy())
  const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.ended
  expect(writes).toEqual([expect.stringMatching(/^HTTP\/1.1 200 OK\r\n[\s\S]*retry/)])
})

test('the body is complete of a stream that is closed in its first turn, with or without an event', async () => {
  for (const events of [0, 1]) {
    const { port } = await serveRecorded((stream) => {
      if (events > 0) stream.send({ data: 'last' })
      stream.close()
    })
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await client.ended
    expect(client.body).toMatch(/retry[\s\S]*0\r\n\r\n$/)
    expect(client.body.includes('data: last')).toBe(events > 0)
  }
})

test('the headers are sent of a response that the application ends in the first turn', async () => {
  const { port } = await serveRecorded((_stream, response) => void response.end())
  const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await client.ended
  expect(client.body).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*retry[\s\S]*0\r\n\r\n$/)
})

test('a cork of the application holds the events of a later turn', async () => {
  const sent: Array<SseStream> = []
  const { port, writes } = await serveRecorded((stream, response) => {
    sent.push(stream)
    setImmediate(() => {
      response.socket?.cork()
      stream.send({ data: 'one' })
      setImmediate(() => {
        const before = writes.length
        response.socket?.uncork()
        stream.comment(`${before} writes before, ${writes.length} after`)
      })
    })
  })
  const client = await get('http', port)
  await client.until('after')
  expect(client.body).toContain(': 1 writes before, 2 after')
})

test('a client is not behind because the headers wait', async () => {
  const results: unknown[] = []
  const { port } = await serveRecorded((stream) => {
    stream.on('drain', () => results.push('drain'))
    results.push(stream.send({ data: 'x'.repeat(10_000) }))
    void stream.drained().then((isOpen) => results.push(isOpen))
  })
  await (await get('http', port)).until('\n\n')
  expect(results).toEqual([true, true])
})

test('the headers do not wait for an end that a middleware defers', async () => {
  const end = deferred<void>()
  const { port } = await serveRecorded(
    (stream) => stream.close(),
    {},
    'http',
    (response) => {
      const own = response.end
      response.end = (() => {
        void end.promise.then(() => Reflect.apply(own, response, []))
        return response
      }) as typeof own
    },
  )
  const client = await get('http', port)
  await client.until('retry')
  end.resolve()
  expect(await client.ended).toBe('end')
})

test('the headers and the end of an empty stream are sent in one write', async () => {
  const { port, writes } = await serveRecorded((stream) => stream.close())
  expect(await (await get('http', port)).ended).toBe('end')
  expect(writes).toEqual([expect.stringMatching(/^HTTP[\s\S]*retry[\s\S]*0\r\n\r\n$/)])
})
