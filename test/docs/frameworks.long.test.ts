import { describe, expect, test } from 'vitest'
import { serve } from '../support/serve.ts'
import { blocksOf, pageOf } from './pages.ts'
import { isListening, responseOf, type SampleRequest } from './run.ts'

/** A request to a sample. */
interface Usage extends SampleRequest {
  /** A text that only this sample of the page contains. */
  readonly sample: string
  /** The first data of the stream, or the status of a response that is not a stream. */
  readonly expected: string | number
}

/**
 * The samples of a page. `listen` is the statement that starts a server with a sample that does not listen by itself.
 */
interface PageOfSamples {
  readonly page: string
  readonly listen: string
  readonly usages: readonly Usage[]
}

const asJson = { method: 'POST', headers: { 'content-type': 'application/json' } }
const asText = { method: 'POST', headers: { 'content-type': 'text/plain' } }
const authorized = { headers: { authorization: 'Bearer 1' } }
// Hono's Node server calls a function from a web `Request` to a `Response`.
const listenWith = (fetch: string) =>
  `const { serve } = await import('@hono/node-server'); serve({ fetch: ${fetch}, port: 3000 })`

const PAGES: readonly PageOfSamples[] = [
  {
    page: 'docs/frameworks/express.md',
    listen: 'app.listen(3000)',
    usages: [
      { sample: `'/upper'`, path: '/upper', ...asJson, body: '{"text":"to be"}', expected: 'TO' },
      { sample: `'/state'`, path: '/state', expected: '{"uptime":' },
      { sample: `'/state'`, path: '/state', headers: { accept: '*/*' }, expected: 200 },
      { sample: 'mayEnter', path: '/rooms/lobby', ...authorized, expected: 'Welcome.' },
      { sample: 'mayEnter', path: '/rooms/attic', ...authorized, expected: 404 },
      { sample: 'mayEnter', path: '/rooms/lobby', expected: 403 },
      { sample: 'handleError', path: '/words', expected: 'one' },
      { sample: 'runs.start', path: '/answers', ...asText, body: 'to be', expected: 'to' },
      { sample: 'runs.start', path: '/answers/none', expected: 404 },
      { sample: 'runs.start', path: '/answers/none', method: 'DELETE', expected: 204 },
    ],
  },
  {
    page: 'docs/frameworks/fastify.md',
    listen: 'await fastify.listen({ port: 3000 })',
    usages: [
      { sample: `'/prices/:symbol'`, path: '/prices/BTC', expected: '{"symbol":"BTC","value":1}' },
      { sample: 'runs.start', path: '/answers', ...asText, body: 'to be', expected: 'to' },
      { sample: 'runs.start', path: '/answers/none', expected: 404 },
      { sample: 'runs.start', path: '/answers/none', method: 'DELETE', expected: 204 },

      { sample: `'/state'`, path: '/state', expected: '{"uptime":' },
      { sample: `'/state'`, path: '/state', headers: { accept: '*/*' }, expected: 200 },
      { sample: 'mayEnter', path: '/rooms/lobby', ...authorized, expected: 'Welcome.' },
      { sample: 'mayEnter', path: '/rooms/lobby', expected: 403 },
    ],
  },
  {
    page: 'docs/frameworks/koa.md',
    listen: 'app.listen(3000)',
    usages: [
      { sample: 'negotiate', expected: 'up' },
      { sample: 'negotiate', headers: { accept: '*/*' }, expected: 200 },
      { sample: 'ctx.query.question', path: '/?question=what', expected: '{"word":"The"}' },
      { sample: 'ctx.query.question', path: '/', expected: 400 },
      { sample: 'runs.start', path: '/', ...asText, body: 'to be', expected: 'to' },
      { sample: 'runs.start', path: '/none', expected: 404 },
      { sample: 'runs.start', path: '/none', method: 'DELETE', expected: 204 },
    ],
  },
  {
    page: 'docs/ai-sdks.md',
    listen: 'app.listen(3000)',
    usages: [
      {
        sample: 'streamText',
        path: '/api/chat',
        ...asJson,
        body: '{"id":"c1","messages":[{"id":"u1","role":"user","parts":[{"type":"text","text":"hello"}]}]}',
        expected: '{"type":"start","messageId":"',
      },
      { sample: 'streamText', path: '/api/chat/c1/stream', expected: 204 },
    ],
  },
  {
    page: 'docs/frameworks/hono.md',
    listen: listenWith('app.fetch'),
    usages: [
      { sample: `'/rooms/:room'`, path: '/rooms/lobby', expected: '{"room":"lobby"}' },
      { sample: 'HTTPException', path: '/words?question=what', expected: 'one' },
      { sample: 'HTTPException', path: '/words', expected: 400 },
      { sample: 'runs.start', path: '/answers', ...asText, body: 'to be', expected: 'to' },
      { sample: 'runs.start', path: '/answers/none', expected: 404 },
      { sample: 'runs.start', path: '/answers/none', method: 'DELETE', expected: 204 },
    ],
  },
  {
    page: 'docs/frameworks/h3.md',
    listen: `const { createServer } = await import('node:http'); const { toNodeListener } = await import('h3')
      createServer(toNodeListener(app)).listen(3000)`,
    usages: [
      { sample: 'runs.start', path: '/runs/greeting', expected: 'to' },
      { sample: 'runs.start', path: '/runs/none', expected: 404 },
      { sample: 'runs.start', path: '/runs/greeting', method: 'DELETE', expected: 200 },
    ],
  },
  {
    page: 'docs/frameworks/web.md',
    listen: listenWith('answer'),
    usages: [{ sample: 'export const answer', method: 'POST', body: 'to be', expected: '{"word":"to"}' }],
  },
  {
    page: 'docs/frameworks/web.md',
    listen: listenWith('(request) => prices(request, "BTC")'),
    usages: [{ sample: 'export const prices', expected: '{"symbol":"BTC","value":1}' }],
  },
  {
    page: 'docs/frameworks/web.md',
    listen: `await runs.start('a', () => ['to']); ${listenWith('(request) => streamRun(request, new URL(request.url).pathname.slice(1))')}`,
    usages: [
      { sample: 'export const streamRun', path: '/a', expected: 'to' },
      { sample: 'export const streamRun', path: '/none', expected: 404 },
    ],
  },
  {
    page: 'docs/frameworks/web.md',
    listen: listenWith('app.fetch'),
    usages: [{ sample: 'idleTimeout: 30', expected: '"20' }],
  },
  {
    page: 'docs/frameworks/web.md',
    listen: listenWith('GET'),
    usages: [
      { sample: 'performance.now()', expected: '{"uptime":' },
      { sample: 'performance.now()', headers: { accept: '*/*' }, expected: 200 },
      { sample: 'There are no more words.', expected: 'one' },
    ],
  },
  ...['docs/frameworks/web.md', 'docs/frameworks/nextjs.md'].map((page) => ({
    page,
    listen: listenWith('POST'),
    usages: [
      { sample: "prompt.split(' ')", ...asJson, body: '{"prompt":"to be"}', expected: 'to' },
      { sample: "prompt.split(' ')", ...asJson, body: '{}', expected: 400 },
    ],
  })),
]

describe.each(PAGES)('a sample of $page', ({ page, listen, usages }) => {
  const samples = blocksOf({ name: page, text: pageOf(page) })

  test.concurrent.each(usages)(
    'responds with $expected (sample with $sample, path $path)',
    async ({ sample, expected, ...request }) => {
      const [block, ...others] = samples.filter(({ code }) => code.includes(sample))
      expect(others).toEqual([])
      const { language = '', code = '' } = block ?? {}
      const named = code.replace('export default', 'const app =')
      const complete = isListening(named) ? named : `${named}\n${listen}`
      const response = await responseOf({ language, code: complete }, { path: '/', ...request })
      expect(response).toMatchObject(
        typeof expected === 'number'
          ? { status: expected, type: expect.not.stringContaining('event-stream') }
          : { status: 200, data: expect.stringContaining(expected) },
      )
    },
  )
})

// A sample that calls the upstream of another host, and the statement that starts a server with it.
const RELAYS: ReadonlyArray<readonly [page: string, sample: string, listen: string]> = [
  ['docs/frameworks/express.md', 'parseEvents', 'app.listen(3000)'],
  ['docs/frameworks/fastify.md', 'parseEvents', 'await fastify.listen({ port: 3000 })'],
  ['docs/frameworks/koa.md', 'parseEvents', 'app.listen(3000)'],
  ['docs/frameworks/web.md', 'parseEvents', listenWith('relay')],
  ['docs/frameworks/nextjs.md', 'parseEvents', listenWith('POST')],
  ['docs/handlers.md', 'export const POST', listenWith('POST')],
  ['docs/handlers.md', 'export const server', 'server.listen(3000)'],
]

test.each(RELAYS)(
  'the sample of %s with %s relays an upstream and passes on its 429',
  async (page, sample, listen) => {
    const [block, ...others] = blocksOf({ name: page, text: pageOf(page) }).filter(({ code }) =>
      code.includes(sample),
    )
    expect(others).toEqual([])
    const { language = '', code = '' } = block ?? {}
    for (const status of [200, 429]) {
      const { url } = await serve((_request, response) => {
        response.writeHead(status, { 'Content-Type': 'text/event-stream', 'Retry-After': '7' })
        response.end('data: from the upstream\n\n')
      })
      const local = code.replace('https://api.example.com/answer', url)
      const request = {
        path: sample.includes('server') || page.includes('koa') ? '/' : '/answer',
        method: 'POST',
      }
      const headers = { 'content-type': 'text/plain' }
      const response = await responseOf(
        { language, code: `${local}\n${listen}` },
        { ...request, headers, body: 'hi' },
      )
      expect(response).toMatchObject({ status, ...(status === 200 && { data: 'from the upstream' }) })
    }
  },
)
