import { once } from 'node:events'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { compare } from '../../../src/cli/doctor/compare.ts'
import { examine } from '../../../src/cli/doctor/examine.ts'
import { gather } from '../../../src/cli/doctor/gather.ts'
import { type Handler, serve } from '../../support/serve.ts'

const HEADERS = { 'Content-Type': 'text/event-stream' }

const silent: Handler = ({ method }, response) => {
  response.writeHead(200, HEADERS)
  if (method === 'HEAD') response.end()
  else response.write(':\n\n')
}

/** Starts a server that sends bytes to each connection. Returns its port. */
async function serveBytes(bytes: string): Promise<number> {
  const server = net.createServer((socket) => socket.on('error', () => {}).end(bytes)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

test('the CommonJS build examines an endpoint', async () => {
  const { port } = await serve((_request, response) => void response.writeHead(500).end())
  const { examine } = createRequire(import.meta.url)('../../../dist/cjs/cli/doctor/index.js')
  const { findings } = await examine(`http://127.0.0.1:${port}/`)
  expect(findings.map(({ code }: { code: string }) => code)).toEqual(['status'])
})

describe('an endpoint that cannot be examined', () => {
  test.each([
    ['events', '"events" is not a URL, such as https://example.com/events.'],
    ['ftp://localhost/', 'The URL must begin with http:// or https://, not ftp:'],
    ['http://127.0.0.1:1/', '127.0.0.1:1 refused the connection. No server listens on this port.'],
    ['http://unknown.invalid/', 'The host unknown.invalid is unknown.'],
  ])('is a usage error of one line for %s', async (url, message) => {
    await expect(examine(url, { timeout: 5_000 })).rejects.toMatchObject({ name: 'UsageError', message })
  })

  test('is a usage error for a certificate that is not trusted, unless any certificate is accepted', async () => {
    const { port } = await serve(silent, 'https')
    const url = `https://127.0.0.1:${port}/`
    await expect(examine(url, { timeout: 5_000 })).rejects.toMatchObject({
      name: 'UsageError',
      message: expect.stringMatching(
        /^The certificate of 127\.0\.0\.1:\d+ is self-signed\. Use --insecure to accept it\.$/,
      ),
    })
    expect((await examine(url, { timeout: 500, insecure: true })).status).toBe(200)
  })

  test('is a usage error for a server without TLS', async () => {
    const { port } = await serve(silent)
    await expect(examine(`https://127.0.0.1:${port}/`, { timeout: 5_000 })).rejects.toMatchObject({
      name: 'UsageError',
      message: `127.0.0.1:${port} does not use TLS. Try http:// instead of https://.`,
    })
  })

  test.each([['bytes that are not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n']])(
    'is a usage error for %s',
    async (_name, bytes) => {
      const port = await serveBytes(bytes)
      await expect(examine(`http://127.0.0.1:${port}/`, { timeout: 5_000 })).rejects.toMatchObject({
        name: 'UsageError',
        message: expect.stringContaining('does not respond in HTTP.'),
      })
    },
  )

  test.each([
    [{ timeout: 0 }, /^The timeout must be a whole number/],
    [{ headers: { 'a b': 'c' } }, /^The header "a b" has/],
    [{ headers: { a: 'b\nc' } }, /^The header "a" has/],
    [{ origin: 'example.com' }, /^"example.com" is not an origin/],
  ])('is a usage error for the options %j', async (options, message) => {
    const error = { name: 'UsageError', code: 'ERR_SSE_USAGE', message: expect.stringMatching(message) }
    await expect(examine('http://127.0.0.1:1/', options)).rejects.toMatchObject(error)
  })

  test.each<[options: unknown, message: string]>([
    [{ duration: 5 }, 'Unknown option "duration".'],
    [{ headers: 'x: y' }, 'Option headers must be an object'],
    [{ insecure: 'yes' }, 'Option insecure must be'],
    [{ signal: new AbortController() }, 'Option signal must be an AbortSignal'],
    [null, 'Options must be a plain object'],
  ])('is an error for the options %j', async (options, message) => {
    const error = { code: 'ERR_SSE_OPTION', message: expect.stringContaining(message) }
    await expect(examine('http://127.0.0.1:1/', options as never)).rejects.toMatchObject(error)
    await expect(
      compare('http://127.0.0.1:1/', 'http://127.0.0.1:2/', options as never),
    ).rejects.toMatchObject(error)
  })

  test('is a usage error for endless headers', async () => {
    const port = await serveBytes(`HTTP/1.1 200 OK\r\n${'X-Long: and longer\r\n'.repeat(20_000)}`)
    await expect(examine(`http://127.0.0.1:${port}/`, { timeout: 5_000 })).rejects.toMatchObject({
      name: 'UsageError',
      message: `The response headers of 127.0.0.1:${port} are too long.`,
    })
  })

  test('is a finding if the connection is closed before the response', async () => {
    const port = await serveBytes('')
    const report = await examine(`http://127.0.0.1:${port}/`, { timeout: 5_000 })
    expect(report.findings.map(({ code }) => code)).toEqual(['cut'])
  })
})

describe('an examination', () => {
  test('reads response headers that are as long as browsers accept', async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(200, { ...HEADERS, 'Content-Security-Policy': 'a'.repeat(100_000) }).end()
    })
    const report = await examine(url, { timeout: 5_000 })
    expect(report.status).toBe(200)
  })

  test('closes all its connections at the end of its time', async () => {
    const { url, sockets } = await serve(silent)
    const report = await examine(url, { timeout: 400 })
    expect(report.comments).toBe(1)
    await expect.poll(() => sockets.size).toBe(0)
  })

  test('ends at its signal with the findings so far', async () => {
    const { url, sockets } = await serve(silent)
    const controller = new AbortController()
    const report = await examine(url, {
      signal: controller.signal,
      onProgress: ({ step }) => step === 'waiting for an event or a heartbeat' && controller.abort(),
    })
    expect(report.status).toBe(200)
    expect(report.duration).toBeLessThan(18_000)
    await expect.poll(() => sockets.size).toBe(0)
  })

  test('opens the stream a second time when a date must be another one than that of the first response', async () => {
    const controller = new AbortController()
    const { url } = await serve((request, response) => {
      if (request.headers['cache-control'] === undefined) controller.abort()
      setTimeout(() => silent(request, response), 800)
    })
    const { exchanges } = await gather(url, { signal: controller.signal })
    const { main, second } = exchanges
    const headersAt = main.sentAt + (main.headersAt ?? 0)
    expect((second?.sentAt ?? 0) - headersAt).toBeGreaterThanOrEqual(2_000)
  })

  test('sends one request if the response is no stream', async () => {
    let requests = 0
    const { url } = await serve((_request, response) => {
      requests += 1
      response.writeHead(404).end()
    })
    const report = await examine(url)
    expect(report.findings.map(({ code }) => code)).toEqual(['status'])
    expect(requests).toBe(1)
  })

  test('sends a body with the requests that may cause work, and none that repeats it for no reason', async () => {
    const requests: string[] = []
    const { url } = await serve((request, response) => {
      request.setEncoding('utf8').on('data', (body) => requests.push(`${request.method} ${body}`))
      response.writeHead(200, HEADERS).end('data: [DONE]\n\n')
    })
    const { exchanges } = await gather(url, { data: '{"stream":true}', headers: { 'X-Key': 'k' } })
    expect(Object.keys(exchanges)).toEqual(['main', 'identity', 'anyAccept', 'llmAccept'])
    expect(new Set(requests)).toEqual(new Set(['POST {"stream":true}']))
    expect(exchanges.main.requestHeaders).toMatchObject({ 'content-type': 'application/json', 'x-key': 'k' })
    expect(exchanges.main.end).toBe('ended')
  })

  test('sends the credentials of the URL as a header, and does not report them', async () => {
    const { url } = await serve(silent)
    const { url: reported, exchanges } = await gather(url.replace('//', '//user:p%40ss@'), { timeout: 300 })
    expect(reported.href).toBe(`${url}/`)
    expect(exchanges.main.requestHeaders.authorization).toBe(`Basic ${btoa('user:p@ss')}`)
  })

  test('reconnects as a browser does after the stream has ended', async () => {
    const { url } = await serve(({ headers }, response) => {
      if (headers['last-event-id'] === '1') response.writeHead(204).end()
      else response.writeHead(200, HEADERS).end('id: 1\ndata: a\n\n')
    })
    const { exchanges } = await gather(url)
    expect(exchanges.reconnect?.status).toBe(204)
  })
})
