import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createGzip } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { LoadProcess, startLoad } from './run-load.ts'
import { events, listen, openStream, serveScript } from './scripted-server.ts'

const MAIN = join(import.meta.dirname, '../../../dist/esm/cli/main.js')

describe('a run counts and continues if a server', () => {
  test('sends ids that no header can have', async () => {
    let requests = 0
    const url = await listen((_, response) => {
      openStream(response)
      requests += 1
      // U+0001 and U+007F are characters of an id, but not of a header.
      if (requests === 2) response.end('id: a\x01\nretry: 1\ndata: x\n\n')
      else if (requests === 3) response.end('id: a\x7f\nretry: 1\ndata: x\n\n')
      else if (requests === 4) response.end('id: b\nretry: 1\ndata: x\n\n')
      if (requests === 5) load.interrupt()
    })
    const load = startLoad(url, '--streams', '3')
    const { streams, connections } = await load.report()
    expect(connections.errorsByCause).toEqual({ 'Last-Event-ID': 2 })
    expect(streams.failed).toBe(2)
  })

  test('switches protocols or compresses the response', async () => {
    let requests = 0
    const url = await listen((request, response) => {
      requests += 1
      if (requests === 2)
        request.socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
      else if (requests === 3)
        response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end()
      else openStream(response)
      if (requests === 4) load.interrupt()
    })
    const load = startLoad(url, '--streams', '3')
    const { connections, streams } = await load.report()
    expect(connections.errorsByCause).toEqual({ 101: 1, 'Content-Encoding': 1 })
    expect(streams.failed).toBe(2)
  })
})

test('connections without response headers meet no limit, and count with the time that they waited', async () => {
  let requests = 0
  const url = await listen((_, response) => {
    requests += 1
    if (requests === 1) openStream(response)
    if (requests === 4) load.interrupt()
  })
  const limits = ['--max-gaps', '0', '--max-errors', '0', '--max-silent', '0']
  const load = startLoad(url, '--streams', '3', ...limits)
  const { streams, connections, thresholds } = await load.report()
  expect(streams).toMatchObject({ opened: 0, waiting: 3 })
  expect(connections.headers?.count).toBe(3)
  expect(thresholds.map(({ value, isMet }) => [value, isMet])).toEqual([
    [null, false],
    [null, false],
    [null, false],
  ])
  expect(await load.status()).toBe(1)
})

test('events from the future are no delays of zero, and meet no limit', async () => {
  const server = await serveScript({ '': `id: 1\nretry: 1\ndata: {"time":${Date.now() + 3_600_000}}\n\n` })
  const load = startLoad(server.url, '--streams', '3', '--max-p99', '1h')
  await server.held(3)
  load.interrupt()
  const { delays, events: received, thresholds } = await load.report()
  expect(received.early).toBe(3)
  expect(delays).toEqual({ source: 'data', live: null, replayed: null, slowStreams: null })
  expect(thresholds).toMatchObject([{ value: null, isMet: false }])
})

test('a stream that receives events but no number, although others do, is one without an event', async () => {
  let requests = 0
  const url = await listen((request, response) => {
    openStream(response)
    const isReconnected = request.headers['last-event-id'] !== undefined
    if (isReconnected) load.interrupt()
    requests += 1
    if (requests === 1 || isReconnected) return
    if (requests === 2) response.write('data: hello\n\n')
    else response.end(events(1, 2, 'a'))
  })
  const load = startLoad(url, '--streams', '2', '--sequence-field', 'n', '--max-silent', '0')
  const { streams, thresholds } = await load.report()
  expect(streams.silent).toBe(1)
  expect(thresholds).toMatchObject([{ value: 1, isMet: false }])
})

describe('an endpoint is rejected before the run if it', () => {
  async function errorOf(url: string): Promise<string> {
    const load = new LoadProcess([url])
    expect(await load.status()).toBe(2)
    expect(load.err).toMatch(/^spillway: [^\n]+\n$/)
    return load.err.slice('spillway: '.length, -1)
  }

  test('switches protocols', async () => {
    const url = await listen((request) => {
      request.socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    })
    expect(await errorOf(url)).toBe(`${url}/ responded with status 101, not with an event stream.`)
  })

  test('compresses its responses', async () => {
    const url = await listen((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' })
      createGzip().pipe(response)
      response.flushHeaders()
    })
    expect(await errorOf(url)).toBe(
      `${url}/ has the Content-Encoding gzip, although the request accepts none. Events cannot be read from it.`,
    )
  })
})

test('the status is not 0 if the reader of the output ends before the result', async () => {
  const server = await serveScript({})
  const args = [MAIN, 'load', server.url, '--duration', '10m', '--streams', '2', '--max-silent', '0']
  const load = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  load.stdout.destroy()
  await server.held(2)
  load.kill('SIGINT')
  const [status] = await once(load, 'close')
  expect(status).toBe(1)
})
