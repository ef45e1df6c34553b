import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import express from 'express'
import Koa from 'koa'
import { describe, expect, it } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import { sse as koaSse } from '../../src/adapters/koa.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import type { Runs } from '../../src/runs/runs.ts'
import { memoryRuns } from '../../src/stores/memory/memory-runs.ts'
import { get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { openRuns } from '../support/runs.ts'
import { type Handler, listen, type Protocol, serve } from '../support/serve.ts'
import { SlowRuns } from '../support/slow-runs.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const

const stores = [
  ['in memory', memoryRuns],
  ['that responds later', () => new SlowRuns()],
] as const

async function end(runs: Runs): Promise<void> {
  const run = await runs.start('a', () => ['a'])
  await run.whenEnded()
}

describe.each(stores)('createSseStream with a run in a store %s', (_store, openStore) => {
  describe.each<Protocol>(['http', 'h2c'])('over %s', (protocol) => {
    async function open() {
      const runs = openRuns({ store: openStore() })
      const { port } = await serve((req, res) => {
        const id = new URL(req.url ?? '', 'http://localhost').pathname.slice(1)
        runs.subscribe(createSseStream(req, res, FORMATS), id)
      }, protocol)
      const take = async (path: string) => {
        const client = await get(protocol, port, { path })
        expect([await client.ended, client.status]).toEqual(['end', 200])
        return client.body
      }
      return { runs, take }
    }

    it('sends the end again to a client that has everything', async () => {
      const { runs, take } = await open()
      await end(runs)
      const id = parseEvents(await take('/a')).at(-1)?.id
      const query = `lastEventId=${id}`
      expect(parseEvents(await take(`/a?${query}`))).toMatchObject([
        { event: 'end', id, data: '{"reason":"done"}' },
      ])
      expect(await take(`/a?format=ndjson&${query}`)).toContain(`{"event":"end","id":"${id}"`)
      const page = JSON.parse(await take(`/a?format=json&${query}`))
      expect(page.events).toEqual([{ event: 'end', id, data: { reason: 'done' } }])
    })

    it('sends a gap for a run that does not exist', async () => {
      const { take } = await open()
      const gap = { event: 'gap', data: '{"reason":"unknown"}' }
      expect(parseEvents(await take('/none'))).toMatchObject([gap])
      expect(await take('/none?format=ndjson')).toContain('{"event":"gap","data":{"reason":"unknown"}}')
      const page = JSON.parse(await take('/none?format=json'))
      expect(page.events).toMatchObject([{ event: 'gap', data: { reason: 'unknown' } }])
    })
  })
})

describe.each(stores)('a refused client of a run in a store %s', (_store, openStore) => {
  it('receives the message of its status, and not that of an earlier one', async () => {
    const runs = openRuns({ store: openStore() })
    const app = new Koa()
    app.use((context, next) => {
      context.status = 200
      context.type = 'text/event-stream'
      return next()
    })
    app.use(koaSse((stream) => void runs.subscribe(stream, 'none')))
    const { port } = await listen(app.callback())
    const [response] = (await once(request({ port }).end(), 'response')) as [IncomingMessage]
    response.resume()
    expect([response.statusCode, response.statusMessage]).toEqual([404, 'Not Found'])
    expect(response.headers['content-type']).toBeUndefined()
  })

  it.each<Protocol>(['http', 'h2c'])('receives a status without a body over %s', async (protocol) => {
    const runs = openRuns({ store: openStore() })
    await end(runs)
    const headers = { 'X-Own': 'yes' }
    const app = new Koa().use(
      koaSse((stream, { path }) => runs.subscribe(stream, path.slice(1)), { headers }),
    )
    const { port } = await serve(app.callback() as Handler, protocol)
    const all = await get(protocol, port, { path: '/a' })
    await all.ended
    const id = parseEvents(all.body).at(-1)?.id
    for (const [path, status] of [
      [`/a?lastEventId=${id}`, 204],
      ['/none', 404],
    ] as const) {
      const client = await get(protocol, port, { path })
      expect([await client.ended, client.status, client.body]).toEqual(['end', status, ''])
      expect(client.headers).toMatchObject({ 'x-own': 'yes', 'cache-control': 'no-store' })
    }
  })

  it('receives the response to the error of a middleware that cannot send the headers', async () => {
    const runs = openRuns({ store: openStore() })
    await end(runs)
    const errors: unknown[] = []
    const app = express()
    app.use((_request, response, next) => {
      const { writeHead } = response
      response.writeHead = (...args: unknown[]) => {
        // Express responds to the error.
        response.writeHead = writeHead
        if (args[0] === 204 || args[0] === 404) throw new Error('of the middleware')
        return writeHead.apply(response, args as never)
      }
      next()
    })
    app.get(
      '/:id',
      sse((stream, { params }) => void runs.subscribe(stream, params.id as string)),
    )
    app.use(((error, _request, response, _next) => {
      errors.push(error.message)
      response.status(500).end()
    }) as express.ErrorRequestHandler)
    const { port } = await listen(app)
    const client = await get('http', port, { path: '/a' })
    await client.ended
    const id = parseEvents(client.body).at(-1)?.id
    for (const path of [`/a?lastEventId=${id}`, '/none']) {
      const refused = await get('http', port, { path })
      expect([refused.status, await refused.ended]).toEqual([500, 'end'])
    }
    expect(errors).toEqual(['of the middleware', 'of the middleware'])
    await expect.poll(() => runs.size).toBe(0)
  })
})

describe('refuseSseStream', () => {
  it('sends the message of its status, and not that of an earlier one', async () => {
    const { port } = await serve((_request, response) => {
      response.statusMessage = 'Streaming'
      refuseSseStream(response, { status: 403 })
    })
    const [response] = (await once(request({ port }).end(), 'response')) as [IncomingMessage]
    response.resume()
    expect([response.statusCode, response.statusMessage]).toEqual([403, 'Forbidden'])
  })
})
