import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttp1Server, type ServerResponse } from 'node:http'
import { createServer as createSecureHttp1Server } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createSseStream } from '../../../src/http/create-sse-stream.ts'
import { Hub } from '../../../src/hub/hub.ts'
import { listenForTest, selfSigned } from '../../support/serve.ts'
import { listenHttp2, Responses, streamOf } from './http2-server.ts'
import { LoadProcess, startLoad } from './run-load.ts'
import { listen, openStream } from './scripted-server.ts'

/** A server of ours that publishes the body of each POST request. */
async function serveHub() {
  const hub = new Hub({ positions: false })
  onTestFinished(() => hub.shutdown())
  return listenHttp2(async (request, response) => {
    if (request.method === 'GET') {
      hub.channel('all').subscribe(createSseStream(request, response))
      return
    }
    let body = ''
    for await (const chunk of request) body += chunk
    hub.channel('all').publish({ data: body })
    response.end()
  })
}

describe('a run against a hub over HTTP/2', () => {
  test('measures probes that are published over HTTP/2 too', async () => {
    const { url } = await serveHub()
    const probes = ['--publish-url', '/publish', '--publish-rate', '50/s']
    const limits = ['--max-lost', '0', '--max-errors', '0', '--max-p99', '1h', '--min-streams', '40']
    const load = startLoad(
      url,
      ...['--insecure', '--streams', '40', '--streams-per-session', '10', ...probes, ...limits],
    )
    await load.progress(/40 of 40 open .*delay p50/)
    load.interrupt()
    const report = await load.report()
    expect(report.probes).toMatchObject({ failed: 0, failure: null })
    expect(report.sequence).toEqual({ lost: 0, lostInGaps: 0, duplicates: 0, outOfOrder: 0 })
    expect(report.delays.live?.count).toBeGreaterThan(0)
    expect(report.connections).toMatchObject({ headers: { count: 40 }, firstByte: { count: 40 } })
    expect(report.connections.sessions).toEqual({ opened: 4, openAtEnd: 4 })
    expect(report.thresholds.map(({ isMet }) => isMet)).toEqual([true, true, true, true])
    expect(await load.status()).toBe(0)
  })

  test('reports no durations if a worker could not keep up, and its protocol in the summary', async () => {
    const { url } = await serveHub()
    const load = new LoadProcess([
      ...[url, '--insecure', '--streams', '4', '--streams-per-session', '2', '--duration', '10m'],
      ...['--max-worker-busy', '0%', '--max-p99', '1h'],
    ])
    await load.progress(/4 of 4 open/)
    load.interrupt()
    expect(await load.status()).toBe(1)
    expect(load.out).toMatch(/\n {2}protocol +HTTP\/2, sessions: 2 opened, 2 open at the end\n/)
    expect(load.out).toContain('No durations: Worker 1 of 1 could not keep up')
    expect(load.out).toContain('failed  --max-p99 3 600 s: not measured')
    expect(load.out).not.toContain('to response headers')
  })
})

test('the time to response headers includes the wait for the session', async () => {
  const responses = new Responses()
  const { url, server } = await listenHttp2((request, response) => {
    openStream(response)
    responses.add(request, response)
  })
  // The server reads nothing of the connection of the run for 300 ms.
  let connections = 0
  const accept = server.listeners('connection').at(0) as (socket: unknown) => void
  server.removeListener('connection', accept)
  server.prependListener('connection', (socket) => {
    const isCheck = ++connections <= 2
    setTimeout(() => accept.call(server, socket), isCheck ? 0 : 300)
  })
  const load = startLoad(url, '--insecure', '--streams', '3', '--streams-per-session', '3')
  await responses.count(3)
  load.interrupt()
  const { connections: measured } = await load.report()
  // The streams are due within 4 ms. Timers are cut to whole ms.
  expect(measured.headers?.count ?? 0).toBeGreaterThan(0)
  expect(measured.headers?.min).toBeGreaterThan(290)
})

test('a scenario may have servers of both protocols', async () => {
  const http1 = await listen((_, response) => openStream(response))
  const responses = new Responses()
  const http2 = await listenHttp2((request, response) => {
    openStream(response)
    responses.add(request, response)
  })
  const folder = mkdtempSync(join(tmpdir(), 'load-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'scenario.json')
  writeFileSync(file, JSON.stringify({ mixes: [{ name: 'a' }, { name: 'b', url: http2.url }] }))
  const load = startLoad(
    http1,
    '--insecure',
    '--scenario',
    file,
    '--streams',
    '8',
    '--streams-per-session',
    '2',
  )
  await responses.count(4)
  load.interrupt()
  const { protocols, mixes, connections } = await load.report()
  expect(protocols).toEqual(['HTTP/1.1', 'HTTP/2'])
  expect(mixes.map(({ protocol }) => protocol)).toEqual(['HTTP/1.1', 'HTTP/2'])
  expect(connections.sessions?.opened).toBe(2)
})

/** Serves streams over HTTP/1.1 with TLS. Returns the number of streams that are expected before `onStreams`. */
async function serveSecureHttp1(streams: number, onStreams: () => void): Promise<string> {
  let count = 0
  const server = createSecureHttp1Server(await selfSigned(), (_, response) => {
    openStream(response)
    if (++count === streams) onStreams()
  })
  const { port } = await listenForTest(server)
  return `https://127.0.0.1:${port}/`
}

test('HTTP/1.1 is used if the server chooses it in the TLS handshake', async () => {
  const url = await serveSecureHttp1(1 + 3, () => load.interrupt())
  const load = startLoad(url, '--streams', '3', '--insecure')
  const { protocols, connections } = await load.report()
  expect({ protocols, sessions: connections.sessions, errors: connections.errors }).toEqual({
    protocols: ['HTTP/1.1'],
    sessions: null,
    errors: 0,
  })
})

test('HTTP/1.1 is used on request, although the server prefers HTTP/2', async () => {
  const versions: string[] = []
  const { url } = await listenHttp2(
    (request, response) => {
      openStream(response)
      versions.push(request.httpVersion)
      if (versions.length === 1 + 3) load.interrupt()
    },
    { allowHTTP1: true },
  )
  const load = startLoad(url, '--streams', '3', '--insecure', '--http', '1.1')
  expect((await load.report()).protocols).toEqual(['HTTP/1.1'])
  expect(new Set(versions)).toEqual(new Set(['1.1']))
})

describe('another protocol is reported in one line with the status 2', () => {
  async function errorOf(...args: string[]): Promise<string> {
    const load = new LoadProcess([...args, '--insecure'])
    expect({ status: await load.status(), out: load.out }).toEqual({ status: 2, out: '' })
    expect(load.err).toMatch(/^spillway: [^\n]+\n$/)
    return load.err.slice('spillway: '.length, -1)
  }

  test('for a server that has HTTP/1.1 only', async () => {
    const plain = await listen((_, response) => openStream(response))
    const secure = await serveSecureHttp1(0, () => {})
    const host = (url: string) => new URL(url).host
    const errors = [
      errorOf(plain, '--http', '2'),
      errorOf(secure, '--http', '2'),
      errorOf(plain, '--streams-per-session', '10'),
    ]
    expect(await Promise.all(errors)).toEqual([
      `${host(plain)} does not respond in HTTP/2. Use --http 1.1.`,
      `${host(secure)} does not offer HTTP/2 in its TLS handshake (ALPN). Use --http 1.1.`,
      `--streams-per-session needs HTTP/2, and ${host(plain)} uses HTTP/1.1. Add --http 2 if it supports both.`,
    ])
  })

  test('for a server that chooses no protocol in the TLS handshake', async () => {
    const http1 = createHttp1Server((_, response) => openStream(response))
    const server = createTlsServer(await selfSigned(), (socket) => http1.emit('connection', socket))
    const { port } = await listenForTest(server)
    expect(await errorOf(`https://127.0.0.1:${port}/`, '--http', '2')).toBe(
      `127.0.0.1:${port} does not offer HTTP/2 in its TLS handshake (ALPN). Use --http 1.1.`,
    )
  })

  test('for a server that has HTTP/2 only', async () => {
    const respond = (_: unknown, response: ServerResponse) => openStream(response)
    const [secure, plain] = [await listenHttp2(respond), await listenHttp2(respond, { isPlain: true })]
    const errors = [errorOf(secure.url, '--http', '1.1'), errorOf(plain.url)]
    expect(await Promise.all(errors)).toEqual([
      `${new URL(secure.url).host} does not offer HTTP/1.1 in its TLS handshake (ALPN). Use --http 2.`,
      `${new URL(plain.url).host} responds in HTTP/2. Use --http 2.`,
    ])
  })

  test('for a server that offers neither', async () => {
    const server = createTlsServer({ ...(await selfSigned()), ALPNProtocols: ['mqtt'] })
    server.on('tlsClientError', () => {})
    const { port } = await listenForTest(server)
    expect(await errorOf(`https://127.0.0.1:${port}/`)).toBe(
      `127.0.0.1:${port} offers neither HTTP/2 nor HTTP/1.1 in its TLS handshake (ALPN).`,
    )
  })

  test('for a response that is not an event stream, and a header of HTTP/1.1', async () => {
    const { url } = await listenHttp2((_, response) => response.writeHead(404).end())
    const reset = await listenHttp2((_, response) => streamOf(response).destroy(new Error('reset')))
    const errors = [
      errorOf(url),
      errorOf(url, '--header', 'Connection: close'),
      errorOf(url, '--header', 'HTTP2-Settings: x'),
      errorOf(url, '--publish-url', '/', '--publish-header', 'Upgrade: x'),
      errorOf(reset.url),
    ]
    expect(await Promise.all(errors)).toEqual([
      `${url} responded with status 404, not with an event stream.`,
      'The header connection cannot be sent over HTTP/2. Omit it, or use --http 1.1.',
      'The header http2-settings cannot be sent over HTTP/2. Omit it, or use --http 1.1.',
      'The header upgrade cannot be sent over HTTP/2. Omit it, or use --http 1.1.',
      `The request to ${new URL(reset.url).host} failed: RST_STREAM INTERNAL_ERROR`,
    ])
  })
})
