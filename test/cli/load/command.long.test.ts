import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LoadProcess, NEVER_REFUSED, startLoad } from './run-load.ts'
import { events, listen, openStream, serveScript } from './scripted-server.ts'

const N = 20
const NUMBERED = ['--streams', String(N), '--sequence-field', 'n']

describe('faults of a server', () => {
  test('are counted exactly: lost, repeated and disordered events, and gaps', async () => {
    const server = await serveScript({
      '': events(1, 2, 3, 5, 6, 6, 6, 8, 7, 'gap', 12, 13, 16, 'a'),
      a: events(17, 'b'),
    })
    const load = startLoad(server.url, ...NUMBERED, '--workers', '2')
    await server.held(N)
    load.interrupt()
    const { sequence, events: received, streams, isInterrupted, connections } = await load.report()
    expect({ sequence, gaps: received.gaps, received: received.received }).toEqual({
      sequence: { lost: 3 * N, lostInGaps: 3 * N, duplicates: 2 * N, outOfOrder: N },
      gaps: N,
      received: 14 * N,
    })
    expect({ opened: streams.opened, failed: streams.failed, isInterrupted }).toEqual({
      opened: N,
      failed: 0,
      isInterrupted: true,
    })
    expect(connections).toMatchObject({ ends: 2 * N, reconnects: 2 * N, errors: 0, cuts: 0 })
  })

  test('are absent for a correct server', async () => {
    const server = await serveScript({ '': events(1, 2, 'a'), a: events(3, 4, 'b'), b: events(5, 'c') })
    const load = startLoad(server.url, ...NUMBERED, '--max-lost', '0', '--max-gaps', '0', '--max-silent', '0')
    await server.held(N)
    load.interrupt()
    const { sequence, resumes, thresholds } = await load.report()
    expect(sequence).toEqual({ lost: 0, lostInGaps: 0, duplicates: 0, outOfOrder: 0 })
    expect(resumes).toMatchObject({ exact: 2 * N, repeated: 0, reported: 0, silent: 0 })
    expect(thresholds.map(({ isMet }) => isMet)).toEqual([true, true, true])
    expect(await load.status()).toBe(0)
  })

  test('in resumes are classified as exact, repeated, reported or silent', async () => {
    const server = await serveScript({
      '': events(1, 2, 'a'),
      a: events(3, 'b'),
      b: events(2, 3, 4, 'c'),
      c: events('gap', 8, 'd'),
      d: events(11, 'e'),
    })
    const load = startLoad(server.url, ...NUMBERED)
    await server.held(N)
    load.interrupt()
    const { sequence, resumes } = await load.report()
    expect(resumes).toMatchObject({ exact: N, repeated: N, reported: N, silent: N })
    expect(sequence).toEqual({ lost: 2 * N, lostInGaps: 3 * N, duplicates: 2 * N, outOfOrder: 0 })
  })

  test('in numbers of each connection are counted within the connection', async () => {
    const server = await serveScript({ '': events(1, 2, 4) })
    const load = startLoad(server.url, ...NUMBERED, '--own-sequence')
    await server.requested(3 * N)
    load.interrupt()
    const { sequence, connections } = await load.report()
    expect(sequence).toMatchObject({ duplicates: 0, outOfOrder: 0 })
    // Each response lacks one number. The last one of a stream may not have ended.
    const extra = (sequence?.lost ?? 0) - connections.ends
    expect(connections.ends).toBeGreaterThanOrEqual(N)
    expect(extra).toBeGreaterThanOrEqual(0)
    expect(extra).toBeLessThanOrEqual(N)
  })

  test('in the ids of events are counted with @id', async () => {
    const text = [1, 2, 5].map((id) => `id: ${id}\ndata: x\n\n`).join('')
    const server = await serveScript({ '': text })
    const load = startLoad(server.url, '--streams', '3', '--sequence-field', '@id')
    await server.held(3)
    load.interrupt()
    expect((await load.report()).sequence?.lost).toBe(6)
  })
})

describe('a stream', () => {
  test('reconnects with its last id, the header of the user and the time of `retry`', async () => {
    const server = await serveScript({ '': 'retry: 1\nid: é\ndata: x\n\n' })
    const load = new LoadProcess([
      ...[server.url, '--json', '--duration', '10m', '--retry', '1h', '--streams', '2'],
      ...['--header', 'Authorization: Bearer t'],
    ])
    // RFC 9110 5.5: Node.js reads bytes of a header as Latin-1. The id was sent as UTF-8.
    await server.held(2)
    load.interrupt()
    await load.status()
    const headers = server.requests.map((request) => request.headers)
    expect(headers.filter((each) => 'last-event-id' in each)).toMatchObject(
      [1, 2].map(() => ({ authorization: 'Bearer t', accept: 'text/event-stream', 'last-event-id': 'Ã©' })),
    )
  })

  test('ends permanently at a status for which EventSource does not reconnect', async () => {
    let requests = 0
    const url = await listen((_, response) => {
      const index = requests++
      if (index === 0) openStream(response)
      else if (index <= 2) response.writeHead(204).end()
      else if (index <= 5) response.writeHead(503).end()
      else if (index <= 6) response.end('hello')
      else openStream(response)
      if (index === 8) load.interrupt()
    })
    const load = startLoad(url, '--streams', '8', '--max-errors', '3')
    const { connections, streams, thresholds } = await load.report()
    expect(connections).toMatchObject({
      errors: 4,
      errorsByCause: { 503: 3, 'Content-Type': 1 },
      noContent: 2,
    })
    expect(streams.failed).toBe(4)
    expect(thresholds).toEqual([{ name: 'max-errors', limit: 3, value: 4, isMet: false }])
    expect(await load.status()).toBe(1)
  })

  test('reconnects after a broken response, which is an error', async () => {
    let requests = 0
    const url = await listen((request, response) => {
      openStream(response)
      const index = requests++
      if (index === 1) response.write('data: x\n\n', () => request.socket.resetAndDestroy())
      if (index === 2) load.interrupt()
    })
    const load = startLoad(url, '--streams', '1')
    expect((await load.report()).connections).toMatchObject({ errors: 1, reconnects: 1, ends: 0 })
  })

  test('is cut at random moments and resumes', async () => {
    let resumed = 0
    const url = await listen((request, response) => {
      openStream(response)
      const last = Number(request.headers['last-event-id'] ?? 0)
      response.write(`id: ${last + 1}\ndata: x\n\n`)
      if (last > 0 && ++resumed === 30) load.interrupt()
    })
    const load = startLoad(
      url,
      '--streams',
      '5',
      '--churn',
      '100/s',
      '--sequence-field',
      '@id',
      '--own-sequence',
    )
    const { connections, resumes, sequence } = await load.report()
    expect(connections.cuts).toBeGreaterThanOrEqual(30)
    expect(connections.errors).toBe(0)
    expect(resumes).toMatchObject({ repeated: 0, silent: 0, reported: 0 })
    expect(sequence).toMatchObject({ lost: 0, duplicates: 0 })
  })
})

describe('a run', () => {
  test('measures delays from a time in the data', async () => {
    const url = await listen((request, response) => {
      openStream(response)
      if (request.headers['last-event-id'] !== undefined) {
        if (++held === N) load.interrupt()
        return
      }
      response.end(`id: 1\ndata: {"meta":{"at":${Date.now() - 50_000}}}\n\n`)
    })
    let held = 0
    const load = startLoad(url, '--streams', String(N), '--time-field', 'meta.at')
    const { delays, refusal, events: received } = await load.report()
    expect(refusal).toBeNull()
    // The events are older than the connections. `Date.now()` is cut to whole ms.
    expect(delays).toMatchObject({ source: 'data', live: null, replayed: { count: N } })
    expect(delays.replayed?.min).toBeGreaterThanOrEqual(49_998)
    expect(received.untimed).toBe(0)
  })

  test('reports no durations if a worker could not keep up, and fails their limits', async () => {
    const server = await serveScript({ '': `id: 1\ndata: ${Date.now()}\n\n` })
    const load = new LoadProcess([
      ...[server.url, '--json', '--duration', '10m', '--retry', '1ms', '--streams', '3'],
      ...['--max-worker-busy', '0%', '--max-p99', '1h'],
    ])
    await server.held(3)
    load.interrupt()
    const { refusal, delays, connections, heartbeats, thresholds, events: received } = await load.report()
    expect(refusal).toMatch(/^Worker 1 of 1 could not keep up: its core was \d+ % busy. Use --workers 2 /)
    expect({ delays, headers: connections.headers, silence: heartbeats.longestSilence }).toEqual({
      delays: { source: 'data', live: null, replayed: null, slowStreams: null },
      headers: null,
      silence: null,
    })
    expect(received.received).toBe(3)
    expect(thresholds).toEqual([{ name: 'max-p99', limit: 3_600_000, value: null, isMet: false }])
    expect(await load.status()).toBe(1)
  })

  test('publishes numbered probes, and counts those that are lost', async () => {
    const streams = new Set<ServerResponse>()
    let probes = 0
    const url = await listen(async (request, response) => {
      if (request.method !== 'POST') {
        openStream(response)
        streams.add(response)
        response.on('close', () => streams.delete(response))
        return
      }
      let body = ''
      for await (const chunk of request) body += chunk
      if (streams.size < 4) return response.writeHead(503).end()
      probes += 1
      if (probes === 20) load.interrupt()
      // The number is that of the attempt, and one in five is lost.
      if (probes % 5 !== 3)
        for (const stream of streams) stream.write(`data: ${JSON.stringify({ body })}\n\n`)
      return response.end()
    })
    const load = startLoad(url, '--streams', '4', '--publish-url', '/publish', '--publish-rate', '50/s')
    const report = await load.report()
    expect(report.delays.source).toBe('probe')
    expect(report.probes?.failure ?? 'status 503').toBe('status 503')
    // The run may publish more until it is interrupted. The third one of every five was lost.
    const published = report.probes?.published ?? 0
    expect(published).toBeGreaterThanOrEqual(20)
    expect(report.sequence).toMatchObject({ lost: 4 * Math.floor((published + 2) / 5), duplicates: 0 })
  })

  test('divides the streams among the mixes of a scenario', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'load-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'scenario.json')
    const mixes = [
      { name: 'free', share: '75%', headers: { 'x-plan': 'free' } },
      { name: 'paid', share: '25%', url: '/paid' },
    ]
    writeFileSync(file, JSON.stringify({ mixes }))
    const seen: string[] = []
    const url = await listen((request, response) => {
      openStream(response)
      response.write('data: 1\n\n')
      seen.push(`${request.url} ${request.headers['x-plan']} ${request.headers['x-all']}`)
      // Each mix is opened once before the run begins.
      if (seen.length === 2 + 40) load.interrupt()
    })
    const load = startLoad(url, '--streams', '40', '--scenario', file, '--header', 'x-all: yes')
    const report = await load.report()
    const count = (text: string) => seen.slice(2).filter((each) => each === text).length
    expect([count('/ free yes'), count('/paid undefined yes')]).toEqual([30, 10])
    expect(report.mixes.map(({ name, opened, events: received }) => ({ name, opened, received }))).toEqual([
      { name: 'free', opened: 30, received: 30 },
      { name: 'paid', opened: 10, received: 10 },
    ])
  })

  test('opens streams over TLS, with a certificate that it may not verify only if that is accepted', async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }])
    let requests = 0
    const server = createTlsServer({ key, cert }, (_, response) => {
      openStream(response)
      if (++requests === 4) load.interrupt()
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const refused = new LoadProcess([`https://127.0.0.1:${port}/`])
    expect(await refused.status()).toBe(2)
    expect(refused.err).toContain('is self-signed. Use --insecure to accept it.\n')
    const load = startLoad(`https://127.0.0.1:${port}/`, '--streams', '3', '--insecure')
    expect((await load.report()).connections.errors).toBe(0)
  })

  test('prints a summary, and the progress separately', async () => {
    const server = await serveScript({ '': events(1, 2, 4, 'a') })
    const load = new LoadProcess([
      server.url,
      '--retry',
      '1ms',
      '--duration',
      '10m',
      ...NUMBERED,
      ...NEVER_REFUSED,
      '--max-lost',
      '5',
    ])
    await server.held(N)
    load.interrupt()
    expect(await load.status()).toBe(1)
    expect(load.out).toMatch(/^20 streams of http:.*, ended early\n/)
    expect(load.out).toMatch(/\n {2}lost +20\n/)
    expect(load.out).toMatch(/\n {2}to response headers +[\d.]+ m?s +/)
    expect(load.out).toContain('failed  --max-lost 5: 20')
    // Colours and controls are only for terminals.
    expect(load.out + load.err).not.toContain('\x1b')
  })
})

describe('the processes of a run', () => {
  test('end when their parent is killed', async () => {
    const server = await serveScript({})
    const load = startLoad(server.url, '--streams', '6', '--workers', '3')
    const responses = await server.held(6)
    const closed = responses.map((response) => once(response, 'close'))
    load.process.kill('SIGKILL')
    await Promise.all(closed)
  })

  const children = (pid: number) => `/proc/${pid}/task/${pid}/children`

  test.skipIf(!existsSync(children(process.pid)))('end when one of them is killed', async () => {
    const server = await serveScript({})
    const load = startLoad(server.url, '--streams', '6', '--workers', '3')
    const responses = await server.held(6)
    const closed = responses.map((response) => once(response, 'close'))
    const [worker] = readFileSync(children(load.process.pid ?? 0), 'utf8')
      .trim()
      .split(' ')
    process.kill(Number(worker), 'SIGKILL')
    await Promise.all(closed)
    expect(await load.status()).toBe(2)
    expect(load.err).toBe('spillway: A worker process ended early with signal SIGKILL.\n')
  })
})

describe('bad input is reported in one line with the status 2', () => {
  async function errorOf(...args: string[]): Promise<string> {
    const load = new LoadProcess(args)
    const status = await load.status()
    expect({ status, out: load.out }).toEqual({ status: 2, out: '' })
    expect(load.err).toMatch(/^spillway: [^\n]+\n$/)
    return load.err.slice('spillway: '.length, -1)
  }

  test('for responses that are not an event stream', async () => {
    const url = await listen((request, response) => {
      if (request.url === '/moved') response.writeHead(302, { location: 'http://192.0.2.1/login' }).end()
      else if (request.url === '/html') response.writeHead(200, { 'content-type': 'text/html' }).end()
      else if (request.url === '/json') response.writeHead(200, { 'content-type': 'application/json' }).end()
      else response.writeHead(Number(request.url?.slice(1))).end()
    })
    const errors = ['/moved', '/html', '/json', '/401', '/404'].map((path) => errorOf(url + path))
    expect(await Promise.all(errors)).toEqual([
      `${url}/moved redirects to http://192.0.2.1/login. It may be a login page. Send a --header with a token or a cookie.`,
      `${url}/html is a web page, not an event stream. It may be a login page. Send a --header with a token or a cookie.`,
      `${url}/json has the Content-Type application/json, not text/event-stream.`,
      `${url}/401 responded with status 401. Send a --header with a token or a cookie.`,
      `${url}/404 responded with status 404, not with an event stream.`,
    ])
  })

  test('for a refused connection and a server without TLS', async () => {
    const free = createTcpServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as AddressInfo
    await new Promise((resolve) => free.close(resolve))
    const url = await listen((_, response) => response.end())
    const errors = [errorOf(`http://127.0.0.1:${port}/`), errorOf(url.replace('http:', 'https:'))]
    expect(await Promise.all(errors)).toEqual([
      `127.0.0.1:${port} refused the connection. No server listens on this port.`,
      `${url.slice('http://'.length)} does not use TLS. Try http:// instead of https://.`,
    ])
  })

  test('for another machine without the permission', async () => {
    const errors = [
      errorOf('http://192.0.2.1:3000/events'),
      errorOf('http://127.0.0.1:1/', '--publish-url', 'http://192.0.2.1/'),
    ]
    expect(await Promise.all(errors)).toEqual([
      '192.0.2.1:3000 is not this machine. Add --i-own-this-server if you may put load on that server.',
      '192.0.2.1 is not this machine. Add --i-own-this-server if you may put load on that server.',
    ])
  })

  test('for a command line without a URL', async () => {
    const load = new LoadProcess([])
    await load.status()
    expect(load.err).toBe('spillway: No URL was given. Usage: npx spillway load <url>\n')
  })
})
