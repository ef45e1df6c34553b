import { once } from 'node:events'
import http, { Agent, type Server } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get, rawClient } from '../support/client.ts'
import { serve } from '../support/serve.ts'

const FORMATS = { formats: ['event-stream', 'ndjson', 'json'] } as const

/** A hub whose channel is polled on a server, with two events before. */
async function serveNews() {
  const hub = new Hub()
  const channel = hub.channel('news')
  const ids = [await channel.publish({ data: 'é'.repeat(5_000) }), await channel.publish({ data: 'second' })]
  const streams: SseStream[] = []
  const served = await serve((request, response) => {
    const stream = createSseStream(request, response, FORMATS)
    streams.push(stream)
    channel.subscribe(stream)
  })
  return { ...served, hub, channel, ids, streams }
}

function requestFor(query: string, { version = '1.1', header = '' } = {}): string {
  return `GET /?format=json${query} HTTP/${version}\r\nHost: a\r\n${header}\r\n`
}

interface Answer {
  readonly headers: string
  readonly page: { events: Array<{ data: unknown }>; lastEventId: string; retry: number }
}

/** Returns the complete responses on a connection, each of which is as long as its header says. */
function answersIn(client: Client): Answer[] {
  const answers: Answer[] = []
  let rest = Buffer.from(client.body)
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    const headers = rest.subarray(0, Math.max(0, end)).toString()
    const length = Number(/^content-length: (\d+)$/im.exec(headers)?.[1])
    if (end < 0 || rest.length < end + 4 + length) return answers
    answers.push({ headers, page: JSON.parse(rest.subarray(end + 4, end + 4 + length).toString()) })
    rest = rest.subarray(end + 4 + length)
  }
}

const dataIn = (client: Client) => answersIn(client).map(({ page }) => page.events.map(({ data }) => data))

describe('long polls on one connection', () => {
  it('are answered in the order of pipelined requests, each with its own page', async () => {
    const { port, channel, ids, streams } = await serveNews()
    const [first, last] = ids.map((id) => `&lastEventId=${id}`)
    const requests = [`${first}`, `${last}&hold=0`, `${last}`, `${first}`, `${last}&hold=0`]
    const client = rawClient(port, requests.map((query) => requestFor(query)).join(''))
    await expect.poll(() => streams.length).toBe(5)
    await expect.poll(() => dataIn(client)).toEqual([['second'], []])
    await channel.publish({ data: 'third' })
    await expect.poll(() => dataIn(client)).toEqual([['second'], [], ['third'], ['second'], []])
    expect(streams.map(({ closeReason }) => closeReason)).toEqual(Array(5).fill('poll'))
  })

  it('are closed when the client disconnects, also those that wait for their turn', async () => {
    const { port, hub, ids, streams } = await serveNews()
    const client = rawClient(port, requestFor(`&lastEventId=${ids[1]}`).repeat(3))
    await expect.poll(() => hub.size).toBe(3)
    client.disconnect()
    await expect.poll(() => hub.size).toBe(0)
    expect(streams.map(({ closeReason }) => closeReason)).toEqual(['client', 'client', 'client'])
  })

  it('reuse it, and add no listener to its socket', async () => {
    const { port, channel, ids, sockets } = await serveNews()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    onTestFinished(() => agent.destroy())
    const listeners: number[] = []
    let cursor = ids[1]
    for (let count = 0; count < 20; count++) {
      const request = http.get({
        host: '127.0.0.1',
        port,
        agent,
        path: `/?format=json&lastEventId=${cursor}`,
      })
      if (count % 2) await once(request, 'socket')
      const id = await channel.publish({ data: count })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      const page = JSON.parse(Buffer.concat(await response.toArray()).toString())
      expect(page).toEqual({ events: [{ event: 'message', id, data: count }], lastEventId: id, retry: 0 })
      cursor = id
      const [socket] = sockets
      listeners.push(socket?.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0) ?? 0)
    }
    expect(sockets.size).toBe(1)
    expect(new Set(listeners.slice(1)).size).toBe(1)
  })

  it.each([
    ['is closed after a poll of HTTP/1.0', { version: '1.0' }, 'close'],
    [
      'is kept for HTTP/1.0 if the client keeps it',
      { version: '1.0', header: 'Connection: keep-alive\r\n' },
      'keep-alive',
    ],
    ['is closed if the client closes it', { header: 'Connection: close\r\n' }, 'close'],
  ])('%s', async (_what, options, connection) => {
    const { port, channel, ids } = await serveNews()
    const client = rawClient(port, requestFor(`&lastEventId=${ids[1]}`, options))
    await channel.publish({ data: 'third' })
    await expect.poll(() => dataIn(client)).toEqual([['third']])
    expect(answersIn(client)[0]?.headers.toLowerCase()).toContain(`connection: ${connection}`)
    if (connection === 'close') expect(await client.ended).toBe('end')
  })

  it('end with a page at shutdown, and close their connections (rule 46)', async () => {
    const { server, port, hub, ids } = await serveNews()
    // Forever, so that only the server can close a connection.
    ;(server as Server).keepAliveTimeout = 0
    const request = requestFor(`&lastEventId=${ids[1]}`)
    const clients = [rawClient(port, request), rawClient(port, request.repeat(3))]
    await expect.poll(() => hub.size).toBe(4)
    const closed = once(server, 'close')
    server.close()
    await hub.shutdown({ retry: 5_000 })
    for (const client of clients) expect(await client.ended).toBe('end')
    await closed
    const answers = clients.flatMap(answersIn)
    expect(answers.map(({ page }) => [page.events, page.lastEventId])).toEqual(Array(4).fill([[], ids[1]]))
    for (const { page } of answers) expect(page.retry).toBeGreaterThanOrEqual(5_000)
  })

  it('are cut if more than 100 wait for their turn', async () => {
    const { port, hub, ids, streams } = await serveNews()
    const request = requestFor(`&lastEventId=${ids[1]}`)
    const allowed = rawClient(port, request.repeat(101))
    await expect.poll(() => hub.size).toBe(101)
    const client = rawClient(port, request.repeat(1_000))
    await client.ended
    expect(client.body).toBe('')
    await expect.poll(() => hub.size).toBe(101)
    expect(new Set(streams.slice(101).map(({ closeReason }) => closeReason))).toEqual(new Set(['client']))
    await hub.shutdown()
    await expect.poll(() => answersIn(allowed).length).toBe(101)
  })

  it('have no subscriber after requests with unusual parameters', async () => {
    const { port, hub, streams } = await serveNews()
    const long = 'x'.repeat(10_000)
    const statuses: unknown[] = []
    for (const query of [
      `format=json&hold=0&lastEventId=${long}`,
      'format=json&format=ndjson&hold=0',
      'format=JSON',
      'FORMAT=xml&format=&hold=0',
      `format=json&hold=0${'&lastEventId='.repeat(1_000)}`,
      'format=json&hold=0&lastEventId=%00%ff%zz',
    ]) {
      const path = `/?${query}`
      const client = await get('http', port, { path, headers: { accept: 'application/json;q=0.5, x/y' } })
      await client.ended
      statuses.push([client.status, client.headers['content-type']])
    }
    const page = [200, 'application/json']
    expect(statuses).toEqual([page, page, [406, 'text/plain; charset=utf-8'], page, page, page])
    await expect.poll(() => hub.size).toBe(0)
    for (const { closed } of streams) expect(closed).toBe(true)
  })
})
