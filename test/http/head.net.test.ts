import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import { get } from '../support/client.ts'
import { type Handler, serve } from '../support/serve.ts'

it('sendHead passes each response headers of its own, to which a middleware may add', async () => {
  let count = 0
  const { port } = await serve((req, res) => {
    const writeHead = res.writeHead as (status: number, headers: Record<string, unknown>) => typeof res
    const number = ++count
    Object.assign(res, {
      writeHead: (status: number, headers: Record<string, unknown>) => {
        headers[`x-request-${number}`] = 'yes'
        return writeHead.call(res, status, headers)
      },
    })
    createSseStream(req, res)
  })
  const clients = [await get('http', port), await get('http', port)]
  const added = clients.map(({ headers }) => Object.keys(headers).filter((name) => /^x-request/.test(name)))
  expect(added).toEqual([['x-request-1'], ['x-request-2']])
})

it('sendHead sends a header of the caller once, instead of the default, in any letter case (rule 13)', async () => {
  const headers = { 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'yes', VARY: 'Origin' }
  const { port } = await serve((req, res) => createSseStream(req, res, { headers }))
  const client = await get('http', port)
  expect(client.headers).toMatchObject({
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'yes',
    vary: 'Origin',
  })
})

const poll: Handler = (req, res) => {
  const channel = new Hub().channel('news')
  channel.subscribe(createSseStream(req, res, { formats: ['event-stream', 'json'] }))
}

it.each<[string, Handler, string, string]>([
  ['a stream', (req, res) => createSseStream(req, res), '/', '200 OK'],
  ['a long poll', poll, '/?format=json&hold=0', '200 OK'],
  ['a request without an accepted format', poll, '/?format=xml', '406 Not Acceptable'],
  ['a refusal with a status', (_req, res) => refuseSseStream(res, { status: 403 }), '/', '403 Forbidden'],
  ['a refusal with a retry', (_req, res) => refuseSseStream(res, { retry: 1000 }), '/', '200 OK'],
])(
  'the response to %s has no status message of an earlier middleware',
  async (_what, handler, path, line) => {
    const { port } = await serve((req, res) => {
      res.statusCode = 404
      res.statusMessage = 'Not Found'
      handler(req, res)
    })
    const request = http.get({ port, path, host: '127.0.0.1' })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    request.destroy()
    expect(`${response.statusCode} ${response.statusMessage}`).toBe(line)
  },
)
