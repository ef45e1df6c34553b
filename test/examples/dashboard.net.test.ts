import { once } from 'node:events'
import { request } from 'node:http'
import type { EventSourceMessage } from 'eventsource-parser'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isPosition } from '../support/parse.ts'
import { Example } from './example.ts'

let dashboard: Example

beforeEach(async () => {
  dashboard = await Example.start('dashboard/server.js')
})

afterEach(() => dashboard.stop())

describe('the server of examples/dashboard', () => {
  it('sends the missed events of a known id, and a gap for an unknown one', async () => {
    const [, ...seen] = await take(events('/events'), 5)
    const [first, , third] = seen.map((event) => event.id)

    const [hello, ...replayed] = await take(events('/events', first), 4)
    expect(hello?.event).toBe('hello')
    expect(JSON.parse(hello?.data ?? '').latest).toMatch(/^[0-9a-f]+-\d+$/)
    expect(replayed.map((event) => event.id)).toEqual(seen.slice(1).map((event) => event.id))

    const epoch = String(third).split('-')[0]
    for (const unknown of [`${epoch}-999999`, `${epoch}-01`, `${epoch}--1`, '00000000-1', 'x', 'é']) {
      const [, gap, sample] = await take(events('/events', unknown), 3)
      expect([gap?.event, sample?.event, sample?.id]).toEqual(['gap', 'sample', first])
    }
  })

  it('resumes from any of the samples that a new client gets', async () => {
    await take(events('/events'), 4)
    const [, one, two] = await take(events('/events'), 3)
    const [, next] = await take(events('/events', one?.id), 2)
    expect(next).toEqual(two)
  })

  it('responds with 404 to paths outside its folder', async () => {
    const paths = [
      '/../server.js',
      '/%2e%2e/server.js',
      '/public/index.html',
      '//',
      '/__proto__',
      '/..\\server.js',
    ]
    for (const path of paths) {
      const [answer] = await once(request({ port: dashboard.port, path }).end(), 'response')
      answer.resume()
      expect([path, answer.statusCode]).toEqual([path, 404])
    }
  })

  it('drops the named client only', async () => {
    const drop = (query: string) => fetch(`${dashboard.url}/drop${query}`, { method: 'POST' })
    const [other, named] = [events('/events?client=other'), events('/events?client=named')]
    await Promise.all([other.next(), named.next()])

    expect([(await drop('')).status, (await drop('?client=two')).status]).toEqual([404, 404])
    expect((await drop('?client=named')).status).toBe(204)
    await expect(take(named, Number.POSITIVE_INFINITY)).rejects.toThrow('terminated')
    expect(await take(other, 2)).toHaveLength(2)
  })

  it('exits with code 0 at once on SIGTERM when a stream is open', async () => {
    const stream = events('/events')
    await stream.next()
    const startedAt = performance.now()

    expect(await dashboard.stop()).toBe(0)
    // Before the 5 s for which a server keeps an idle connection.
    expect(performance.now() - startedAt).toBeLessThan(4_000)
    await take(stream, Number.POSITIVE_INFINITY)
  })
})

async function* events(path: string, lastEventId = ''): AsyncGenerator<EventSourceMessage> {
  const { body } = await fetch(`${dashboard.url}${path}`, { headers: { 'Last-Event-ID': lastEventId } })
  const parsed = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
  for await (const event of parsed ?? []) if (!isPosition(event)) yield event
}

/** Reads a number of events, or all until the stream ends, and closes it. */
async function take(stream: AsyncIterable<EventSourceMessage>, count: number): Promise<EventSourceMessage[]> {
  const taken: EventSourceMessage[] = []
  for await (const event of stream) if (taken.push(event) >= count) break
  return taken
}
