import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import net from 'node:net'
import { constants } from 'node:os'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { sse } from '../../src/http/sse.ts'
import { Hub } from '../../src/hub/hub.ts'
import { gracefulShutdown } from '../../src/lifecycle/shutdown.ts'
import type { GracefulShutdownOptions } from '../../src/lifecycle/shutdown-options.ts'
import { Runs } from '../../src/runs/runs.ts'
import { get } from '../support/client.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'

const PROTOCOLS: Protocol[] = ['http', 'https', 'h2c', 'h2']
// A call that waits for it fails by the timeout of the test.
const LONG = 600_000
const KEEP_ALIVE = { headers: { connection: 'keep-alive' } }

async function open(handler: Handler, protocol: Protocol, options: GracefulShutdownOptions = {}) {
  const { server, port, sockets } = await serve(handler, protocol)
  const shutdown = gracefulShutdown({ server, signals: [], grace: LONG, spread: 0, ...options })
  return { server, port, sockets, shutdown }
}

/** A response that is open until `finish` is called, so that a server that closes waits for it. */
function heldResponse() {
  const begun = deferred<http.ServerResponse>()
  return {
    begun: begun.promise,
    hold(response: http.ServerResponse) {
      response.write('begun ')
      begun.resolve(response)
    },
  }
}

function raise(error: unknown): never {
  throw error
}

describe.each(PROTOCOLS)('gracefulShutdown over %s', (protocol) => {
  it('closes the streams of a hub with a reconnection time, and resolves although clients keep their connections', async () => {
    const hub = new Hub()
    const { port, shutdown, sockets } = await open(
      (req, res) => hub.subscribe(createSseStream(req, res), 'news'),
      protocol,
      { hub },
    )
    const clients = await Promise.all(Array.from({ length: 3 }, () => get(protocol, port)))
    await expect.poll(() => hub.size).toBe(3)
    await shutdown.start()
    for (const client of clients) {
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/\nretry: [23]\d{3}\n$/)
    }
    await expect.poll(() => sockets.size).toBe(0)
    expect([shutdown.state, shutdown.ready]).toEqual(['closed', false])
    await expect(hub.channel('news').publish({ data: 1 })).rejects.toMatchObject({
      code: 'ERR_SSE_SHUT_DOWN',
    })
  })

  it('lets finite responses finish, and then closes', async () => {
    const { begun, hold } = heldResponse()
    const { port, shutdown } = await open((_req, res) => hold(res), protocol)
    const client = await get(protocol, port)
    const response = await begun
    const done = shutdown.start()
    response.end('finished')
    expect(await client.ended).toBe('end')
    expect(client.body).toBe('begun finished')
    await done
  })

  it('destroys open streams and connections at the end of the grace', async () => {
    const { port, shutdown } = await open((req, res) => void createSseStream(req, res), protocol, {
      grace: 50,
    })
    const client = await get(protocol, port)
    await shutdown.start()
    expect(await client.ended).toBe('cut')
  })

  it('serves requests as before during the delay', async () => {
    const hub = new Hub()
    const { port, shutdown } = await open(
      (req, res) => hub.subscribe(createSseStream(req, res), 'news'),
      protocol,
      { hub, delay: LONG },
    )
    void shutdown.start()
    expect([shutdown.state, shutdown.ready]).toEqual(['delay', false])
    const client = await get(protocol, port, protocol.startsWith('h2') ? {} : KEEP_ALIVE)
    await hub.channel('news').publish({ data: 'news' })
    await client.until('data: news\n')
    expect(client.headers.connection).not.toBe('close')
  })

  it('returns the same promise for a second call', async () => {
    const { shutdown } = await open(() => {}, protocol)
    expect(shutdown.start()).toBe(shutdown.start())
    expect(shutdown.start()).toBe(shutdown.done)
    await shutdown.done
    expect(shutdown.start()).toBe(shutdown.done)
  })

  it('closes a server that begins to listen later', async () => {
    const { server, shutdown } = await open(() => {}, protocol)
    server.close()
    await once(server, 'close')
    await shutdown.start()
    server.listen(0, '127.0.0.1')
    await once(server, 'close')
    expect(server.listening).toBe(false)
  })
})

describe.each(['h2c', 'h2'] as const)('gracefulShutdown over %s', (protocol) => {
  it('sends GOAWAY to each session, and lets its streams finish', async () => {
    const { begun, hold } = heldResponse()
    const { port, shutdown } = await open((_req, res) => hold(res), protocol)
    const scheme = protocol === 'h2' ? 'https' : 'http'
    const session = http2.connect(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
    onTestFinished(() => session.destroy())
    const goaway = once(session, 'goaway')
    const request = session.request({ ':path': '/' }).setEncoding('utf8')
    const response = await begun
    const done = shutdown.start()
    await goaway
    response.end('finished')
    expect((await request.toArray()).join('')).toBe('begun finished')
    await done
  })
})

describe('a request that begins during a shutdown', () => {
  /**
   * Sends a request on a connection that was accepted before the shutdown began, and resolves with everything that was
   * sent on it until it was closed.
   */
  async function respondTo(request: string, handler: Handler) {
    const { server, port, shutdown } = await open(handler, 'http', { retry: 5_000 })
    const accepted = once(server, 'connection')
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET '))
    onTestFinished(() => void socket.destroy())
    const [connection] = (await accepted) as [net.Socket]
    await expect.poll(() => connection.bytesRead).toBeGreaterThan(0)
    const done = shutdown.start()
    socket.write(request)
    const chunks = await socket.setEncoding('utf8').toArray()
    await done
    return chunks.join('')
  }

  const refusing: Array<[string, string, Handler]> = [
    ['an event stream', '/', (req, res) => void createSseStream(req, res)],
    [
      'NDJSON',
      '/?format=ndjson',
      (req, res) => void createSseStream(req, res, { formats: ['event-stream', 'ndjson'] }),
    ],
    [
      'a long poll',
      '/?format=json',
      (req, res) => void createSseStream(req, res, { formats: ['event-stream', 'json'] }),
    ],
  ]

  it.each(refusing)(
    'is refused with a reconnection time and `Connection: close`, for %s',
    async (_, path, handler) => {
      const text = await respondTo(`${path} HTTP/1.1\r\nHost: a\r\n\r\n`, handler)
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(text).toMatch(/\r\nConnection: close\r\n/)
      expect(text).toMatch(/retry"?: ?([5-9]\d{3}|10000)\b/)
    },
  )

  it('gets a stream that is closed, and replays nothing', async () => {
    const replay = vi.fn(() => [{ data: 'missed' }])
    const reasons: unknown[] = []
    const text = await respondTo('/ HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n\r\n', (req, res) => {
      const stream = createSseStream(req, res, { replay })
      reasons.push(stream.closed)
    })
    expect([replay.mock.calls.length, reasons]).toEqual([0, [true]])
    expect(text).toMatch(/\nretry: \d+\n/)
  })

  it('is refused if it waits for `authorize` when the shutdown begins', async () => {
    const asked = deferred<void>()
    const permitted = deferred<boolean>()
    const authorize = () => {
      asked.resolve()
      return permitted.promise
    }
    const handler = vi.fn(() => [{ data: 1 }])
    const route = sse(handler, { authorize })
    const { port, shutdown } = await open((req, res) => void route(req, res), 'http')
    const response = get('http', port, KEEP_ALIVE)
    await asked.promise
    const done = shutdown.start()
    permitted.resolve(true)
    const client = await response
    await client.ended
    expect(client.body).toMatch(/retry: [23]\d{3}\b/)
    expect(client.headers.connection).toBe('close')
    expect(handler).not.toHaveBeenCalled()
    await done
  })

  it.each<[string, Handler]>([
    ['a refusal', (_req, res) => refuseSseStream(res, { status: 403 })],
    ['another response', (_req, res) => void res.end('other')],
    ['a 406', (req, res) => void createSseStream(req, res, { negotiate: true })],
  ])('gets `Connection: close` with %s', async (_, handler) => {
    const text = await respondTo('/ HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n', handler)
    expect(text).toMatch(/\r\nConnection: close\r\n/)
  })

  it('gets all responses of one client that pipelines its requests', async () => {
    const text = await respondTo(
      '/a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
      (req, res) => void setImmediate(() => res.end(`<${req.url}>`)),
    )
    expect(text).toContain('</a>')
    expect(text).toContain('</b>')
    expect(text.match(/Connection: close/g)).toHaveLength(1)
  })

  it('gets `Connection: close` although it began before the shutdown, unless its headers were sent', async () => {
    const begun = deferred<http.ServerResponse>()
    const { port, shutdown } = await open((_req, res) => begun.resolve(res), 'http')
    const response = get('http', port, KEEP_ALIVE)
    const held = await begun.promise
    const done = shutdown.start()
    held.end('late')
    expect((await response).headers.connection).toBe('close')
    await done
  })

  it('is not refused on another server of the process', async () => {
    const other = await serve((req, res) => void createSseStream(req, res).send({ data: 1 }))
    const { shutdown } = await open(() => {}, 'http')
    await shutdown.start()
    const client = await get('http', other.port, KEEP_ALIVE)
    await client.until('data: 1\n')
    expect(client.headers.connection).not.toBe('close')
  })
})

describe('gracefulShutdown', () => {
  it('calls onShutdown when the delay is over, and onClosed before the stores are closed', async () => {
    const hub = new Hub()
    const calls: string[] = []
    const { shutdown } = await open(() => {}, 'http', {
      hub,
      onShutdown: () => calls.push(`onShutdown ${shutdown.state}`),
      onClosed: async () => {
        await hub.channel('a').publish({ data: 'last' })
        calls.push(`onClosed ${shutdown.state}`)
      },
    })
    await shutdown.start()
    expect(calls).toEqual(['onShutdown closing', 'onClosed closing'])
  })

  it('passes errors to onError, and closes everything all the same', async () => {
    const errors: unknown[] = []
    const hub = new Hub()
    const { server, shutdown } = await open(() => {}, 'http', {
      hub,
      onShutdown: () => Promise.reject('first'),
      onClosed: () => {
        throw 'second'
      },
      onError: (error) => errors.push(error),
    })
    await shutdown.start()
    expect(errors).toEqual(['first', 'second'])
    expect(server.listening).toBe(false)
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_SHUT_DOWN' })
  })

  it.each<[string, () => unknown]>([
    ['throws', () => raise('onError')],
    ['rejects', () => Promise.reject('onError')],
  ])('closes everything although onError %s', async (_, fail) => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => print.mockRestore())
    const { server, shutdown } = await open(() => {}, 'http', {
      onClosed: () => raise('onClosed'),
      onError: fail,
    })
    await shutdown.start()
    expect([server.listening, shutdown.state]).toEqual([false, 'closed'])
    expect(print).toHaveBeenCalledWith('onError')
  })

  it('waits for a response and a run for the longest grace', async () => {
    const warn = vi.spyOn(process, 'emitWarning')
    onTestFinished(() => warn.mockRestore())
    const { begun, hold } = heldResponse()
    const runs = new Runs()
    const source = deferred<void>()
    await runs.start('a', async function* () {
      yield { data: 'begin' }
      await source.promise
    })
    const options = { grace: 2 ** 31 - 1, runs }
    const { port, shutdown } = await open((_req, res) => hold(res), 'http', options)
    const client = await get('http', port)
    const response = await begun
    const done = shutdown.start()
    response.end('finished')
    source.resolve()
    await done
    expect(await client.ended).toBe('end')
    // Node.js sets a longer timer to 1 ms.
    expect(warn).not.toHaveBeenCalled()
  })

  it('exits after a second signal that does not end the first process of a container', async () => {
    const signal = 'SIGUSR2'
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
    const exited = deferred<unknown>()
    const exit = vi.spyOn(process, 'exit').mockImplementation((code) => exited.resolve(code) as never)
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    onTestFinished(() => void vi.restoreAllMocks())
    const onClosed = () => new Promise(() => {})
    const { shutdown } = await open(() => {}, 'http', { signals: [signal], onClosed })
    process.emit(signal, signal)
    now.mockReturnValue(1_200)
    process.emit(signal, signal)
    now.mockRestore()
    expect(await exited.promise).toBe(128 + constants.signals[signal])
    expect(kill).toHaveBeenCalledWith(process.pid, signal)
    expect(exit).toHaveBeenCalledOnce()
    // It exits once more, because the first call has had no effect.
    await shutdown.done
  })

  it('is closed some time after a second signal although a function does not return', async () => {
    const signal = 'SIGUSR2'
    const closing = deferred<void>()
    const { shutdown } = await open(() => {}, 'http', {
      ...{ signals: [signal], exit: false },
      onClosed: () => {
        closing.resolve()
        return new Promise(() => {})
      },
    })
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000)
    onTestFinished(() => now.mockRestore())
    process.emit(signal, signal)
    now.mockReturnValue(1_200)
    process.emit(signal, signal)
    now.mockRestore()
    await closing.promise
    await shutdown.done
    expect(process.listenerCount(signal)).toBe(0)
  })

  it('is closed some time after the grace although a function does not return', async () => {
    const { shutdown } = await open(() => {}, 'http', { grace: 50, onClosed: () => new Promise(() => {}) })
    await shutdown.start()
    expect(shutdown.state).toBe('closed')
  })

  it('waits for runs, and sends their ends', async () => {
    const runs = new Runs()
    const end = deferred<void>()
    await runs.start('a', async function* () {
      yield { data: 'begin' }
      await end.promise
    })
    const { port, shutdown } = await open(
      (req, res) => void runs.subscribe(createSseStream(req, res), 'a'),
      'http',
      {
        runs,
      },
    )
    const client = await get('http', port)
    await client.until('data: begin\n')
    const done = shutdown.start()
    end.resolve()
    expect(await client.ended).toBe('end')
    expect(client.body).toContain('{"reason":"done"}')
    await done
  })

  it('ends the sources of channels that are runs when the streams of the hub are closed', async () => {
    const runs = new Runs()
    const hub = new Hub({ runs })
    const channel = hub.channel('news', {
      linger: LONG,
      async *source(signal) {
        yield { data: 'begin' }
        await once(signal, 'abort')
      },
    })
    const { port, shutdown } = await open(
      (req, res) => channel.subscribe(createSseStream(req, res)),
      'http',
      { hub, runs },
    )
    const client = await get('http', port)
    await client.until('data: begin\n')
    await shutdown.start()
    expect(await client.ended).toBe('end')
    expect(runs.running).toBe(0)
  })

  it('ends runs at the end of the grace', async () => {
    const runs = new Runs()
    await runs.start('a', async function* (signal) {
      yield { data: 'begin' }
      await once(signal, 'abort')
    })
    const { shutdown } = await open(() => {}, 'http', { runs, grace: 50 })
    await shutdown.start()
    expect(runs.running).toBe(0)
  })

  it('accepts signals of other platforms', async () => {
    await gracefulShutdown({ signals: ['SIGTERM', 'SIGUSR2', 'SIGBREAK'], exit: false }).start()
  })

  it('accepts lists of servers, hubs and runs', async () => {
    const servers = await Promise.all([serve(() => {}), serve(() => {})])
    const hubs = [new Hub(), new Hub()]
    await gracefulShutdown({
      server: servers.map(({ server }) => server),
      hub: hubs,
      runs: [new Runs(), new Runs()],
      signals: [],
    }).start()
    expect(servers.map(({ server }) => server.listening)).toEqual([false, false])
  })

  it('closes a connection that a browser has opened in advance, without waiting for the grace', async () => {
    const { server, port, shutdown } = await open(() => {}, 'http')
    const accepted = once(server, 'connection')
    const socket = net.connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await accepted
    await shutdown.start()
    await once(socket.resume(), 'close')
  })

  it.each([
    [{ server: 1 }, 'Option server must be a server of node:http'],
    [{ hub: {} }, 'Option hub must be a Hub'],
    [{ runs: [null] }, 'Option runs must be a Runs'],
    [{ signals: 'SIGTERM' }, 'Option signals must be a list of signals'],
    [
      { signals: ['SIGTERM', 'SIGKILL'] },
      'Option signals[1] must be a signal such as SIGTERM, not "SIGKILL".',
    ],
    [{ signals: ['SIGTREM'] }, 'Option signals[0] must be a signal such as SIGTERM, not "SIGTREM".'],
    [{ signals: [15] }, 'Option signals[0] must be a signal such as SIGTERM, not 15.'],
    [{ runs: new Hub() }, 'Option runs must be a Runs, not a Hub.'],
    [{ hub: new Runs() }, 'Option hub must be a Hub, not a Runs.'],
    [new http.Server(), 'Pass a server as an option, for example gracefulShutdown({ server }).'],
    [http2.createServer(), 'Pass a server as an option, for example gracefulShutdown({ server }).'],
    [new Hub(), 'Pass a hub as an option, for example gracefulShutdown({ hub }).'],
    [new Runs(), 'Pass a Runs as an option, for example gracefulShutdown({ runs }).'],
    [{ grace: 1_000, spread: 1_001 }, 'Option spread must be at most the grace'],
    [{ timeout: 1 }, 'Unknown option'],
  ])('rejects the options %#', (options, message) => {
    expect(() => gracefulShutdown(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION', message: expect.stringContaining(message) }),
    )
  })
})
