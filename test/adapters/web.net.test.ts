import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { compress } from 'hono/compress'
import { cors } from 'hono/cors'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get, rawClient } from '../support/client.ts'
import { deferred, listen } from '../support/serve.ts'
import { closed } from '../support/streams.ts'
import { adapterContract, type ContractRequest } from './contract.ts'

const responseOf: ContractRequest['respond'] = (status, headers, body) =>
  Response.json(body, { status, headers })

const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => {
  logged.mockClear()
})

adapterContract({
  name: 'web, Hono on @hono/node-server',
  sse,
  passesOn: false,
  keepsEarlierHeaders: true,
  cutsBody: true,
  async serve(handler, options) {
    const errors: unknown[] = []
    const answer = sse(
      (stream, request) => handler(stream, { body: () => request.text(), respond: responseOf }) as never,
      {
        ...options,
        onError: (error) => errors.push(error),
      },
    )
    const app = new Hono()
    app.use(async (context, next) => {
      await next()
      context.res.headers.append('Set-Cookie', 'earlier=1')
    })
    app.all('/stream', (context) => answer(context.req.raw))
    app.onError((error, context) => {
      errors.push(error)
      return context.text('sorry', 500)
    })
    return { ...(await listen(getRequestListener(app.fetch))), errors }
  },
})

describe('sse of spillway/web on Hono', () => {
  /** Serves a stream behind some middlewares. */
  async function open(...middlewares: Parameters<Hono['use']>[1][]) {
    const made = deferred<SseStream>()
    const app = new Hono()
    for (const each of middlewares) app.use(each)
    const answer = sse((stream) => made.resolve(stream as SseStream))
    app.get('/stream', (context) => answer(context.req.raw))
    const { port } = await listen(getRequestListener(app.fetch))
    const headers = { 'accept-encoding': 'gzip', origin: 'https://app.example.com' }
    const client = await get('http', port, { path: '/stream', headers })
    return { client, stream: await made.promise }
  }

  it('logs nothing when a client disconnects', async () => {
    const { client, stream } = await open()
    await client.until(':\n')
    const end = closed(stream)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    await new Promise((resolve) => setImmediate(resolve))
    expect(logged).not.toHaveBeenCalled()
  })

  it('closes a pipelined stream after its disconnect, or after maxDuration if Node.js does not report it', async () => {
    const streams: SseStream[] = []
    const answer = sse((stream) => void streams.push(stream as SseStream), { maxDuration: 300 })
    const { port } = await listen(getRequestListener(answer))
    const client = rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2))
    await expect.poll(() => streams.length).toBe(2)
    client.disconnect()
    // Node.js 24 and later reports it.
    const reasons = ['client', expect.stringMatching(/^(client|expired)$/)]
    await expect.poll(() => streams.map(({ closeReason }) => closeReason)).toEqual(reasons)
  })

  it('is not compressed by middleware', async () => {
    const { client, stream } = await open(compress())
    expect(client.headers['content-encoding']).toBeUndefined()
    stream.send({ data: 'at once' })
    await client.until('data: at once\n\n')
  })

  it('keeps headers that middlewares set after it', async () => {
    const { client } = await open(cors(), async (context, next) => {
      await next()
      context.header('X-After', 'yes')
    })
    expect(client.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'x-after': 'yes',
      'cache-control': 'no-cache, no-transform',
    })
  })
})
