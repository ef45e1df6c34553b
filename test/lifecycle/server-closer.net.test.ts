import { once } from 'node:events'
import http, { Agent } from 'node:http'
import http2 from 'node:http2'
import net, { type Server } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import { serverCloser } from '../../src/lifecycle/server-closer.ts'
import { TICK } from '../../src/scheduler/clock.ts'
import { get, rawClient } from '../support/client.ts'
import { sseError } from '../support/hub.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'

const PROTOCOLS: Protocol[] = ['http', 'https', 'h2c', 'h2']
// A call that waits for it fails by the timeout of the test.
const LONG = 600_000

async function open(protocol: Protocol, handler: Handler) {
  const { server, port, sockets } = await serve(handler, protocol)
  return { server, port, sockets, closeServer: serverCloser(server) }
}

/** Opens a session of HTTP/2 that the client keeps open. */
async function openSession(protocol: 'h2' | 'h2c', port: number) {
  const scheme = protocol === 'h2' ? 'https' : 'http'
  const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
  onTestFinished(() => session.destroy())
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

describe.each(PROTOCOLS)('serverCloser over %s', (protocol) => {
  it('resolves when hub.shutdown() has ended the streams, although clients keep their connections (rule 46)', async () => {
    const hub = new Hub()
    const { port, closeServer, sockets } = await open(protocol, (req, res) => {
      hub.subscribe(createSseStream(req, res), ['news'])
    })
    const clients = await Promise.all(Array.from({ length: 3 }, () => get(protocol, port)))
    await expect.poll(() => hub.size).toBe(3)
    await hub.channel('news').publish({ data: 'last' })
    const closed = closeServer({ grace: LONG })
    await hub.shutdown({ grace: LONG })
    await closed
    for (const client of clients) {
      expect(await client.ended).toBe('end')
      expect(client.body).toContain('data: last\n')
    }
    await expect.poll(() => sockets.size).toBe(0)
  })

  it('cuts a stream that does not end within the grace', async () => {
    const { port, closeServer } = await open(protocol, (req, res) => void createSseStream(req, res))
    const client = await get(protocol, port)
    await closeServer({ grace: 50 })
    expect(await client.ended).toBe('cut')
  })

  it('cuts a connection on which nothing was sent after the grace', async () => {
    const { server, port, closeServer } = await open(protocol, () => {})
    const socket = net.connect(port, '127.0.0.1').on('error', () => {})
    await once(server, 'connection')
    await closeServer({ grace: 50 })
    await once(socket.resume(), 'close')
  })

  it('resolves for a server that is closed already, and when it is called twice', async () => {
    const { server, closeServer } = await open(protocol, () => {})
    await Promise.all([closeServer({ grace: LONG }), closeServer({ grace: LONG })])
    expect(server.listening).toBe(false)
    await closeServer({ grace: LONG })
  })

  it('accepts no further connection', async () => {
    const { port, closeServer } = await open(protocol, () => {})
    await closeServer()
    await expect(once(net.connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })
})

describe.each(['h2c', 'h2'] as const)('serverCloser over %s', (protocol) => {
  it('closes sessions without a stream', async () => {
    const { port, closeServer } = await open(protocol, () => {})
    const session = await openSession(protocol, port)
    await closeServer({ grace: LONG })
    if (!session.destroyed) await once(session, 'close')
  })

  it('lets a running response end, and then closes its session', async () => {
    const responses: http.ServerResponse[] = []
    const { port, closeServer } = await open(protocol, (_req, res) => {
      res.write('begin ')
      responses.push(res)
    })
    const session = await openSession(protocol, port)
    const request = session.request({ ':path': '/' }).setEncoding('utf8')
    let text = ''
    request.on('data', (data: string) => {
      text += data
    })
    await once(request, 'response')
    const closed = closeServer({ grace: LONG })
    await expect.poll(() => session.closed).toBe(true)
    responses[0]?.end('end')
    await closed
    expect(text).toBe('begin end')
  })

  it('closes a session that was being opened', async () => {
    const { server, port, closeServer } = await open(protocol, () => {})
    const session = openSession(protocol, port)
    await once(server, 'connection')
    await closeServer({ grace: LONG })
    const { destroyed } = await session
    expect(destroyed).toBe(true)
  })
})

describe('serverCloser over http', () => {
  it('closes a connection that becomes idle after the call', async () => {
    const responses: http.ServerResponse[] = []
    const { port, closeServer } = await open('http', (_req, res) => void responses.push(res))
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    const request = http.get({ port, host: '127.0.0.1', agent })
    await expect.poll(() => responses.length).toBe(1)
    const closed = closeServer({ grace: LONG })
    responses[0]?.end('done')
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    response.resume()
    await closed
  })

  it('does not cut a response that ends after the call while its client reads slowly', async () => {
    const length = 16_000_000
    const responses: http.ServerResponse[] = []
    const { port, closeServer } = await open('http', (_req, res) => {
      res.write('x'.repeat(length))
      responses.push(res)
    })
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.stopReading()
    await expect.poll(() => responses.length).toBe(1)
    const closed = closeServer({ grace: LONG })
    responses[0]?.end()
    // Several checks for idle connections.
    await new Promise((resolve) => setTimeout(resolve, 5 * TICK))
    client.resumeReading()
    await closed
    await client.ended
    expect(client.length).toBeGreaterThan(length)
  })
})

describe('serverCloser over http and a connection that is not idle', () => {
  it('does not cut a response that has ended before the call, and that its client reads slowly', async () => {
    const length = 16_000_000
    const ended = deferred<void>()
    const { port, closeServer } = await open('http', (_req, res) => {
      res.end('x'.repeat(length))
      ended.resolve()
    })
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    client.stopReading()
    await ended.promise
    const closed = closeServer({ grace: LONG })
    client.resumeReading()
    await closed
    await client.ended
    expect(client.length).toBeGreaterThan(length)
  })

  /** Opens a connection, and gets a response on it. */
  async function reusable(server: Server, port: number) {
    const accepted = once(server, 'connection')
    const socket = net.connect(port, '127.0.0.1', () =>
      socket.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n'),
    )
    onTestFinished(() => void socket.destroy())
    const received = { text: '' }
    socket.setEncoding('utf8').on('data', (text: string) => {
      received.text += text
    })
    const [connection] = (await accepted) as [net.Socket]
    await expect.poll(() => received.text).toContain('</first>')
    return { socket, connection, received }
  }

  it.each([
    ['a request has begun', 'GET ', '/next HTTP/1.1\r\nHost: a\r\n\r\n'],
    ['was upgraded', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n', '</next>'],
  ])('does not cut a connection that %s', async (_, begin, rest) => {
    const { server, port, closeServer } = await open('http', (req, res) => void res.end(`<${req.url}>`))
    server.on('upgrade', (_req, socket) => socket.on('data', (data: Buffer) => socket.end(data)))
    const { socket, connection, received } = await reusable(server, port)
    const before = connection.bytesRead
    socket.write(begin)
    await expect.poll(() => connection.bytesRead).toBeGreaterThan(before)
    // Connections are closed in the order in which they were opened.
    const idle = await reusable(server, port)
    const closed = closeServer({ grace: LONG })
    await once(idle.socket, 'close')
    socket.write(rest)
    await expect.poll(() => received.text).toContain('</next>')
    await closed
  })
})

describe('serverCloser with bad input', () => {
  it.each([undefined, null, {}, 3000, new Hub()])('rejects %o as a server', (server) => {
    expect(() => serverCloser(server as never)).toThrow(sseError('ERR_SSE_OPTION'))
  })

  it.each([{ grace: -1 }, { graceMs: 1 }, null])('rejects the options %o', async (options) => {
    const { closeServer } = await open('http', () => {})
    await expect(closeServer(options as never)).rejects.toThrow(sseError('ERR_SSE_OPTION'))
  })
})
