import { describe, expect, it } from 'vitest'
import { get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { Example, startExample } from './example.ts'

const QUESTION = 'What is a spillway?'
const DONE = '{"reason":"done"}'

/** Starts an answer. Resolves with its client, and with the path of the answer. */
async function ask(url: string) {
  const { port } = new URL(url)
  const headers = { 'content-type': 'text/plain' }
  const client = await get('http', Number(port), {
    path: '/answers',
    method: 'POST',
    headers,
    body: QUESTION,
  })
  return { client, path: String(client.headers.location) }
}

const read = (url: string, path: string, headers = {}) =>
  get('http', Number(new URL(url).port), { path, headers })

describe.each(['express', 'fastify', 'hono'])('examples/runs/%s.js', (name) => {
  const server = startExample(`runs/${name}.js`, { PACE_MS: '10' })

  it('streams an answer to the client of the POST, and the same to each GET', async () => {
    const { client, path } = await ask(server.url)
    const early = await read(server.url, path)
    expect(await client.ended).toBe('end')
    const late = await read(server.url, path)
    const events = parseEvents(client.body)
    expect(events[0]).toMatchObject({ event: 'question', data: QUESTION })
    expect(events.at(-1)).toMatchObject({ event: 'end', data: DONE })
    const words = events.filter(({ event }) => event === 'word').map(({ data }) => data)
    expect(words.join('')).toMatch(/^A spillway .* all of it\.$/)
    for (const reader of [early, late]) {
      expect(await reader.ended).toBe('end')
      expect(parseEvents(reader.body)).toEqual(events)
    }
    const again = await read(server.url, path, { 'last-event-id': events.at(-1)?.id ?? '' })
    expect([again.status, await again.ended]).toEqual([204, 'end'])
  })

  it('goes on without clients, and stops by DELETE only', async () => {
    const slow = await Example.start(`runs/${name}.js`, { PACE_MS: '100' })
    const { client, path } = await ask(slow.url)
    await client.until('event: word')
    client.disconnect()
    const reader = await read(slow.url, path)
    await reader.until((body) => parseEvents(body).length > 3)
    const stop = await get('http', slow.port, { path, method: 'DELETE' })
    expect(stop.status).toBe(204)
    expect(await reader.ended).toBe('end')
    expect(parseEvents(reader.body).at(-1)).toMatchObject({ event: 'end', data: '{"reason":"stopped"}' })
    expect(await slow.stop()).toBe(0)
  })

  it('responds with 404 for an answer that does not exist, and serves its page', async () => {
    expect((await read(server.url, '/answers/none')).status).toBe(404)
    const page = await read(server.url, '/')
    await page.until('<title>Answers</title>')
    expect(page.headers['content-type']).toContain('text/html')
  })
})

describe('examples/runs/deploy-log.js', () => {
  const server = startExample('runs/deploy-log.js', { PACE_MS: '10' })

  it('sends the log from its first line to each reader, also after its end', async () => {
    const first = await read(server.url, '/log')
    expect(await first.ended).toBe('end')
    const late = await read(server.url, '/log')
    expect(await late.ended).toBe('end')
    const lines = parseEvents(late.body).map(({ data }) => data)
    expect(lines).toEqual([
      'Deploying to 6 hosts',
      ...['db-1', 'db-2', 'api-1', 'api-2', 'web-1', 'web-2'].map((host) => `${host}: healthy`),
      DONE,
    ])
    expect(parseEvents(first.body)).toEqual(parseEvents(late.body))
  })

  it('resumes a reader, and serves its page', async () => {
    const all = await read(server.url, '/log')
    await all.ended
    const id = parseEvents(all.body)[2]?.id ?? ''
    const resumed = await read(server.url, '/log', { 'last-event-id': id })
    await resumed.ended
    expect(parseEvents(resumed.body)).toEqual(parseEvents(all.body).slice(3))
    await (await read(server.url, '/')).until('<title>Deployment</title>')
  })
})
