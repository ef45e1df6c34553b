import express from 'express'
import { describe, expect, it } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { get } from '../support/client.ts'
import { deferred, listen, type Protocol, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const
const POLL = '/?format=json'

describe.each<Protocol>(['http', 'h2c'])('createSseStream with formats over %s', (protocol) => {
  it('responds to a long poll with its length, and closes the stream', async () => {
    const opened = deferred<SseStream>()
    const { port } = await serve(
      (request, response) => opened.resolve(createSseStream(request, response, FORMATS)),
      protocol,
    )
    const pending = get(protocol, port, { path: POLL })
    const stream = await opened.promise
    const end = closed(stream)
    stream.send({ id: '7', data: { value: 1 } })
    const client = await pending
    expect(await client.ended).toBe('end')
    expect(client.headers['content-length']).toBe(String(client.body.length))
    expect(JSON.parse(client.body)).toEqual({
      events: [{ event: 'message', id: '7', data: { value: 1 } }],
      lastEventId: '7',
      retry: 0,
    })
    expect(await end).toMatchObject({ reason: 'poll' })
  })

  it('responds 406 with the formats', async () => {
    const reasons: unknown[] = []
    const { port } = await serve((request, response) => {
      reasons.push(createSseStream(request, response, FORMATS).closeReason)
    }, protocol)
    const client = await get(protocol, port, { path: '/?format=html' })
    await client.ended
    expect([client.status, client.body, reasons]).toEqual([
      406,
      'This resource is available as text/event-stream, application/x-ndjson, application/json ' +
        '(?format=event-stream, ndjson, json).\n',
      ['not-acceptable'],
    ])
  })

  it('serves a single format regardless of Accept, and refuses only that with weight 0 (rule 18)', async () => {
    const { port } = await serve((request, response) => {
      const stream = createSseStream(request, response, { formats: ['ndjson'] })
      if (!stream.closed) stream.send({ data: 1 })
      stream.close()
    }, protocol)
    for (const accept of ['*/*', 'text/event-stream', 'application/json']) {
      const client = await get(protocol, port, { headers: { accept } })
      await client.ended
      expect([client.headers['content-type'], client.headers.vary]).toEqual([
        'application/x-ndjson; charset=utf-8',
        undefined,
      ])
    }
    const refused = await get(protocol, port, { headers: { accept: 'application/x-ndjson;q=0' } })
    expect(refused.status).toBe(406)
  })
})

describe('the response to a long poll', () => {
  it('is cut when its stream is destroyed', async () => {
    const { port } = await serve((request, response) => createSseStream(request, response, FORMATS).destroy())
    await expect(get('http', port, { path: POLL })).rejects.toThrow('socket hang up')
  })

  it('is private if an earlier middleware has decided so', async () => {
    const channel = new Hub().channel('news', { cache: 'public' })
    const first = await channel.publish({ data: 1 })
    await channel.publish({ data: 2 })
    const app = express()
    app.get('/own', (_request, response, next) => {
      response.set('Cache-Control', 'no-store')
      next()
    })
    const handler = sse((stream) => channel.subscribe(stream), FORMATS)
    app.get('/own', handler).get('/', handler)
    const { port } = await listen(app)
    const cacheControl = async (path: string) => {
      const client = await get('http', port, { path: `${path}?format=json&lastEventId=${first}` })
      await client.ended
      return client.headers['cache-control']
    }
    expect(await cacheControl('/')).toBe('public, max-age=1')
    expect(await cacheControl('/own')).toBe('no-store')
  })

  it('is not longer than a page when a client has missed more', async () => {
    const channel = new Hub().channel('news')
    const ids = []
    for (let index = 0; index < 5_000; index++) ids.push(await channel.publish({ data: 'x'.repeat(100) }))
    const { port } = await serve((request, response) => {
      channel.subscribe(createSseStream(request, response, FORMATS))
    })
    const received: string[] = []
    for (let cursor = ids[0]; cursor !== ids.at(-1); ) {
      const client = await get('http', port, { path: `${POLL}&lastEventId=${cursor}` })
      await client.ended
      const { events, lastEventId } = JSON.parse(client.body)
      expect(events.length).toBeLessThan(1_500)
      for (const { id } of events) received.push(id)
      cursor = lastEventId
    }
    expect(received).toEqual(ids.slice(1))
  })

  it('encodes each entry once for all polls and NDJSON streams', async () => {
    let encoded = 0
    const channel = new Hub({
      serialize: () => {
        encoded += 1
        return '{}'
      },
    }).channel('news')
    const opened: SseStream[] = []
    const { port } = await serve((request, response) => {
      const stream = createSseStream(request, response, FORMATS)
      channel.subscribe(stream)
      opened.push(stream)
    })
    const clients = [POLL, POLL, '/?format=ndjson', '/?format=event-stream'].map((path) =>
      get('http', port, { path }),
    )
    await expect.poll(() => opened.length).toBe(4)
    await channel.publish({ data: { any: 'data' } })
    for (const client of await Promise.all(clients)) await client.until('{}')
    expect(encoded).toBe(1)
  })
})
