import { execFileSync } from 'node:child_process'
import type http from 'node:http'
import type { Http2Server } from 'node:http2'
import { join } from 'node:path'
import express from 'express'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { get } from '../support/client.ts'
import { valuesOf } from '../support/process-errors.ts'
import { deferred, listen, type Protocol, serve } from '../support/serve.ts'

const WARNED = Symbol.for('spillway.warned')
const ALB = { 'x-amzn-trace-id': 'Root=1-67891233-abcdef012345678912345678' }
const CLOUDFLARE = { 'cf-ray': '230b030023ae2822-SJC' }

type Warning = Error & { code: string }

let warnings: Warning[]

// The state of a process that has just started.
beforeEach(() => {
  vi.resetModules()
  Reflect.deleteProperty(globalThis, WARNED)
  warnings = valuesOf('warning') as Warning[]
})

interface Route {
  readonly options?: SseStreamOptions
  readonly protocol?: Protocol
  readonly configure?: (server: http.Server & Http2Server) => void
}

/** Serves a stream. Returns a function that requests it, and waits until the response headers have arrived. */
async function serveStream({ options, protocol = 'http', configure }: Route = {}) {
  const { createSseStream } = await import('../../src/http/create-sse-stream.ts')
  const { server, port } = await serve((request, response) => {
    createSseStream(request, response, options)
  }, protocol)
  configure?.(server as http.Server & Http2Server)
  return (headers: Record<string, string> = {}) => get(protocol, port, { headers })
}

const codes = () => warnings.map(({ code }) => code)

describe('a heartbeat that is slower than a proxy allows', () => {
  test.each([
    ['Fastly', { 'cdn-loop': 'Fastly, Fastly' }, 10_000],
    ['CloudFront', { 'x-amz-cf-id': 'JLwTa9vOHmXN2xOy7a0pvbjGCRZs7w==' }, 30_000],
    ['Apache Traffic Server', { via: 'http/1.1 ats (ApacheTrafficServer/9.2.9)' }, 30_000],
    ['Heroku', { via: '1.1 heroku-router' }, 55_000],
    ['Varnish', { 'x-varnish': '32770' }, 60_000],
    ['a load balancer of AWS', ALB, 60_000],
    ['Cloudflare', CLOUDFLARE, 100_000],
  ])('is reported for %s', async (name, headers, idle) => {
    const open = await serveStream({ options: { heartbeat: idle }, configure: withoutKeepAliveTimeout })
    await open(headers as Record<string, string>)
    expect(codes()).toEqual(['SPILLWAY_HEARTBEAT'])
    expect(warnings[0]?.name).toBe('SpillwayWarning')
    expect(warnings[0]?.message).toContain(`${name} `)
    expect(warnings[0]?.message).toContain(`${idle} ms`)
  })

  test('is not reported if the heartbeat is faster', async () => {
    const open = await serveStream({ options: { heartbeat: 9_999 }, configure: withoutKeepAliveTimeout })
    await open({ ...ALB, ...CLOUDFLARE, 'cdn-loop': 'Fastly', via: '1.1 heroku-router' })
    expect(warnings).toEqual([])
  })

  test('is reported if it is disabled', async () => {
    const open = await serveStream({ options: { heartbeat: 0 } })
    await open(CLOUDFLARE)
    expect(warnings[0]?.message).toMatch(/heartbeat is disabled.*Cloudflare/)
  })

  test('is not reported without the headers of a proxy', async () => {
    const open = await serveStream({ options: { heartbeat: 0 } })
    await open({ via: '1.1 example', 'cdn-loop': 'example' })
    expect(warnings).toEqual([])
  })

  test('is reported as the hold of a long poll', async () => {
    const open = await serveStream({ options: { formats: ['json'], longPoll: { hold: 1_000 } } })
    await open({ 'cdn-loop': 'Fastly' })
    const held = await serveStream({ options: { formats: ['json'] }, configure: withoutKeepAliveTimeout })
    const response = held({ 'cdn-loop': 'Fastly' })
    await expect.poll(codes).toEqual(['SPILLWAY_HEARTBEAT'])
    expect(warnings[0]?.message).toContain('longPoll.hold is 25000 ms')
    response.catch(() => {})
  })

  test('is reported for the handler of an adapter', async () => {
    const { sse } = await import('../../src/adapters/express.ts')
    const { port } = await listen(express().use(sse(() => {}, { heartbeat: 0 })))
    await get('http', port, { headers: CLOUDFLARE })
    expect(codes()).toEqual(['SPILLWAY_HEARTBEAT'])
  })

  test('is reported for a web Request', async () => {
    const { createSseResponse } = await import('../../src/http/create-sse-response.ts')
    const request = new Request('http://localhost', { headers: CLOUDFLARE })
    const { body } = createSseResponse(request, () => {}, { heartbeat: 0 })
    await expect.poll(codes).toEqual(['SPILLWAY_HEARTBEAT'])
    await body?.cancel()
  })
})

describe('a timeout of a server of HTTP/2', () => {
  const withTimeout = (server: http.Server) => void server.setTimeout(10_000)

  test.each(['h2', 'h2c'] as const)(
    'is reported if it is shorter than the heartbeat, over %s',
    async (protocol) => {
      const open = await serveStream({ protocol, configure: withTimeout })
      await open()
      expect(codes()).toEqual(['SPILLWAY_SERVER_TIMEOUT'])
      expect(warnings[0]?.message).toContain('10000 ms')
    },
  )

  test('is not reported if heartbeats are sent more often', async () => {
    const open = await serveStream({ protocol: 'h2c', options: { heartbeat: 5_000 }, configure: withTimeout })
    await open()
    expect(warnings).toEqual([])
  })

  test('is not reported if the program listens for it', async () => {
    const open = await serveStream({
      protocol: 'h2c',
      configure: (server) => void server.setTimeout(10_000, () => {}),
    })
    await open()
    expect(warnings).toEqual([])
  })

  test('is not reported on HTTP/1.1, where the stream disables it', async () => {
    const open = await serveStream({ configure: withTimeout })
    await open()
    expect(warnings).toEqual([])
  })
})

describe('a limit of the streams of a connection of HTTP/2', () => {
  test.each([
    [99, ['SPILLWAY_MAX_CONCURRENT_STREAMS']],
    [100, []],
  ])('of %i is reported as %j', async (maxConcurrentStreams, expected) => {
    // The client acknowledges the settings of the server after its first request.
    const acknowledged = deferred<void>()
    const open = await serveStream({
      protocol: 'h2c',
      configure(server) {
        server.updateSettings({ maxConcurrentStreams })
        server.on('session', (session) =>
          session.once('localSettings', () => setImmediate(acknowledged.resolve)),
        )
      },
    })
    await open()
    await acknowledged.promise
    expect(codes()).toEqual(expected)
  })
})

describe('a keepAliveTimeout', () => {
  test.each(['http', 'https'] as const)(
    'of %s that is shorter than that of a load balancer of AWS is reported',
    async (protocol) => {
      const open = await serveStream({ protocol })
      await open(ALB)
      expect(codes()).toEqual(['SPILLWAY_KEEP_ALIVE_TIMEOUT'])
      expect(warnings[0]?.message).toContain('60000 ms')
    },
  )

  test('that is longer is not reported', async () => {
    const open = await serveStream({
      configure: (server) => {
        server.keepAliveTimeout = 65_000
      },
    })
    await open(ALB)
    expect(warnings).toEqual([])
  })
})

describe('a warning', () => {
  test('is emitted once, however many streams have the fault', async () => {
    const open = await serveStream({ options: { heartbeat: 0 } })
    await open(CLOUDFLARE)
    await open(CLOUDFLARE)
    expect(codes()).toEqual(['SPILLWAY_HEARTBEAT'])
  })

  test('is not emitted for a stream after the hundredth', async () => {
    const open = await serveStream({ options: { heartbeat: 0 } })
    for (let i = 0; i < 100; i++) (await open()).disconnect()
    await open(CLOUDFLARE)
    expect(warnings).toEqual([])
  })

  test('that fails does not affect the stream', async () => {
    const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {
      throw new Error('not to be emitted')
    })
    onTestFinished(() => emit.mockRestore())
    const open = await serveStream({ options: { heartbeat: 0 } })
    expect((await open(CLOUDFLARE)).status).toBe(200)
    expect(emit).toHaveBeenCalledOnce()
  })

  test('is emitted once by a process that has loaded the package as a module and with require', () => {
    const code = `
      import { createRequire } from 'node:module'
      const handler = () => {}
      const request = () => new Request('http://localhost', { headers: ${JSON.stringify(CLOUDFLARE)} })
      process.on('warning', ({ code }) => console.log(code))
      for (const { createSseResponse } of [await import('spillway'), createRequire(import.meta.url)('spillway')])
        createSseResponse(request(), handler, { heartbeat: 0 })
      setImmediate(() => process.exit())`
    const root = join(import.meta.dirname, '../..')
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: root,
      encoding: 'utf8',
      stdio: 'pipe',
    })
    expect(output.trim()).toBe('SPILLWAY_HEARTBEAT')
  })
})

function withoutKeepAliveTimeout(server: http.Server): void {
  server.keepAliveTimeout = 0
}
