import type { Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { ResponseTransport } from '../../src/transports/node-response.ts'
import { nodeTransport, SocketTransport } from '../../src/transports/node-socket.ts'
import { get, rawClient } from '../support/client.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { transportContract } from './contract.ts'

// Wraps `response.write`, as compression and session middlewares do.
const wrap: Handler = (_request, response) => {
  const write = response.write
  response.write = ((...args: Parameters<typeof write>) => write.apply(response, args)) as typeof write
}

transportContract({ name: 'HTTP/1.1', protocol: 'http' })
transportContract({ name: 'HTTP/1.1 over TLS', protocol: 'https' })
transportContract({ name: 'HTTP/1.1, wrapped response', protocol: 'http', prepare: wrap })
transportContract({ name: 'HTTP/1.1 over TLS, wrapped response', protocol: 'https', prepare: wrap })
transportContract({
  name: 'HTTP/1.0',
  protocol: 'http',
  // Without chunks, the end of the connection is the end of the body (RFC 9112 6.3).
  hasBodyEnd: false,
  connect: async (port) => rawClient(port, 'GET / HTTP/1.0\r\n\r\n'),
})
transportContract({ name: 'HTTP/2', protocol: 'h2c' })
transportContract({ name: 'HTTP/2 over TLS', protocol: 'h2' })

describe('nodeTransport', () => {
  async function transportClassOf(protocol: Protocol, prepare: Handler = () => {}, connect = get) {
    const transport = deferred<ResponseTransport>()
    const { port } = await serve((request, response) => {
      prepare(request, response)
      response.write(':\n')
      transport.resolve(nodeTransport(response) as ResponseTransport)
    }, protocol)
    await connect(protocol, port)
    return (await transport.promise).constructor
  }
  const connect10 = async (_protocol: Protocol, port: number) => rawClient(port, 'GET / HTTP/1.0\r\n\r\n')

  it('returns a SocketTransport for an unwrapped chunked response, with or without TLS', async () => {
    expect(await transportClassOf('http')).toBe(SocketTransport)
    expect(await transportClassOf('https')).toBe(SocketTransport)
  })

  it('returns a ResponseTransport for wrapped responses, HTTP/1.0 and HTTP/2', async () => {
    expect(await transportClassOf('http', wrap)).toBe(ResponseTransport)
    expect(await transportClassOf('http', () => {}, connect10)).toBe(ResponseTransport)
    expect(await transportClassOf('h2c')).toBe(ResponseTransport)
  })

  it('writes a snapshot over maxBufferedBytes in the tick of the response headers without an overflow', async () => {
    const opened = deferred<SseStream>()
    const { port } = await serve((req, res) => {
      const stream = createSseStream(req, res)
      for (let id = 0; id < 100; id++) stream.send({ id, data: 'x'.repeat(20_000) })
      opened.resolve(stream)
    })
    const client = await get('http', port)
    await client.until('id: 99\n')
    expect((await opened.promise).closed).toBe(false)
  })

  it('writes nothing after other code has ended the response', async () => {
    const transport = deferred<ResponseTransport>()
    const { port } = await serve((_request, response) => {
      response.write(':\n')
      const written = nodeTransport(response) as ResponseTransport
      response.end()
      expect(written.write(Frame.of('data: late\n\n', 1).payload)).toBe(false)
      transport.resolve(written)
    })
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect((await transport.promise).constructor).toBe(SocketTransport)
    await client.ended
    expect(client.body).toMatch(/\r\n0\r\n\r\n$/)
  })

  it('configures the HTTP/1 socket even if a middleware adds a `stream` property to the response', async () => {
    const opened = deferred<SseStream>()
    const { port, sockets } = await serve((req, res) => {
      Object.assign(res, { stream: () => {} })
      opened.resolve(createSseStream(req, res))
    })
    const client = await get('http', port)
    const stream = await opened.promise
    expect([...sockets].map((socket) => socket.timeout)).toEqual([0])
    stream.destroy()
    expect(await client.ended).toBe('cut')
  })

  it.each<[Protocol, number]>([
    ['http', 1],
    ['h2c', 0],
  ])('configures a connection only if the stream owns it, over %s (rule 17)', async (protocol, times) => {
    const opened = deferred<number[]>()
    const { port, sockets } = await serve((req, res) => {
      const [socket] = sockets as Set<Socket>
      const calls = (['setKeepAlive', 'setNoDelay', 'setTimeout'] as const).map((name) =>
        vi.spyOn(socket as Socket, name),
      )
      createSseStream(req, res, { heartbeat: 0 })
      opened.resolve(calls.map((call) => call.mock.calls.length))
    }, protocol)
    await get(protocol, port)
    expect(await opened.promise).toEqual([times, times, times])
  })

  it('calls flush() of a middleware that buffers bytes', async () => {
    let flushes = 0
    const transport = deferred<ResponseTransport>()
    const { port } = await serve((request, response) => {
      wrap(request, response)
      Object.assign(response, { flush: () => flushes++ })
      response.write(':\n')
      transport.resolve(nodeTransport(response) as ResponseTransport)
    })
    await get('http', port)
    const flushed = await transport.promise
    flushed.write(Frame.of('data: 1\n\n', 1).payload)
    expect(flushes).toBe(1)
  })
})
