/**
 * A server with the handlers that `contract.ts` asks for, to be run by Node, Bun or Deno. It prints its URL, and then a
 * line of JSON for each thing that happens in it.
 */

import { Hub } from 'spillway'
import { sse } from 'spillway/web'
import { runCases, runOrders, runs } from './runs.js'

const { Bun, Deno } = /** @type {any} */ (globalThis)

/** @typedef {import('spillway').SseStream} Stream */

/** @param {object} what */
const say = (what) => console.log(JSON.stringify(what))

process.on('unhandledRejection', (error) => say({ unhandled: String(error) }))
process.on('uncaughtException', (error) => say({ uncaught: String(error) }))

/** @type {Map<string, Stream>} The streams that are open, by the key that their client asked with. */
const streams = new Map()
const hub = new Hub()
const news = hub.channel('news')

const fail = () => {
  throw new Error('secret of the handler')
}

/** @param {Stream} stream */
const sendHello = (stream) => stream.send({ data: 'hello' })

/**
 * @type {Record<string, readonly [handler: (stream: Stream, request: Request, key: string) => any, options?: object]>}
 */
const cases = {
  silent: [() => new Promise(() => {}), { retry: 1000 }],
  hello: [sendHello],
  bare: [() => {}, { preamble: false }],
  compressed: [() => {}, { compress: true }],
  idle: [() => {}, { heartbeat: 300, retry: 0 }],
  typed: [(stream) => stream.send({ event: 'tick', id: 7, data: { n: 1 } })],
  generator: [
    async function* () {
      for (const word of ['to', 'be', 'or not']) yield { data: word }
    },
  ],
  iterable: [async () => [{ data: 1 }, 'text']],
  large: [
    function* () {
      for (let id = 0; id < 5; id++) yield { id, data: `${id} é🦆 ${'x'.repeat(100_000)}` }
    },
  ],
  prompt: [
    async function* (_stream, request) {
      const { prompt } = /** @type {any} */ (await request.json())
      for (const token of prompt.split(' ')) yield { event: 'token', data: { token } }
    },
  ],
  position: [(stream) => stream.send({ data: stream.lastEventId })],
  cookies: [() => {}, { headers: { 'Set-Cookie': ['a=1; Path=/', 'b=2'], 'X-Own': 'yes' } }],
  throws: [fail],
  rejects: [async () => fail()],
  'generator-fails': [
    // biome-ignore lint/correctness/useYield: it fails before it comes to one.
    async function* () {
      fail()
    },
  ],
  'fails-later': [
    async function* (stream) {
      yield { data: 'first' }
      await told(stream, 'fail')
      fail()
    },
  ],
  endless: [
    async function* (stream, _request, key) {
      try {
        for (let n = 0; ; n++) {
          yield { data: n }
          await new Promise((resolve) => setTimeout(resolve, 5))
          stream.signal.throwIfAborted()
        }
      } finally {
        say({ returned: key })
      }
    },
  ],
  flood: [flood, { maxBufferedBytes: 200_000, stallTimeout: 0 }],
  stalled: [fillUp, { maxBufferedBytes: 64 * 1024 * 1024, stallTimeout: 1_000 }],
  patient: [fillUp, { maxBufferedBytes: 64 * 1024 * 1024 }],
  news: [(stream) => news.subscribe(stream)],
  ...runCases,
}

/**
 * More than its client takes, until that is too much for the bound.
 *
 * @param {Stream} stream
 * @param {Request} _request
 * @param {string} key
 */
async function flood(stream, _request, key) {
  let most = 0
  for (let id = 0; id < 1_000 && !stream.closed; id++) {
    stream.send({ id, data: 'x'.repeat(50_000) })
    most = Math.max(most, stream.bufferedBytes)
    await new Promise((resolve) => setImmediate(resolve))
  }
  say({ most, key })
}

/**
 * Far more than a kernel takes.
 *
 * @param {Stream} stream
 * @param {Request} _request
 * @param {string} key
 */
async function fillUp(stream, _request, key) {
  for (let id = 0; id < 400; id++) {
    stream.send({ id, data: 'x'.repeat(64 * 1024) })
    if (id % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  say({ filled: key, bufferedEvents: stream.bufferedEvents })
}

/** @type {Map<Stream, (what: string) => void>} */
const waiting = new Map()

/**
 * Waits until the test says something to a stream.
 *
 * @param {Stream} stream
 * @param {string} what
 */
function told(stream, what) {
  return new Promise((resolve) => {
    waiting.set(stream, (said) => said === what && resolve(undefined))
  })
}

const answers = new Map(
  Object.entries(cases).map(([name, [handler, options]]) => [
    name,
    sse(
      (stream, request, key) => {
        streams.set(String(key), stream)
        stream.on('close', (reason, error) => say({ closed: key, reason, error: error && String(error) }))
        return handler(stream, request, String(key))
      },
      { ...options, onError: (error) => say({ onError: String(error) }) },
    ),
  ]),
)

/**
 * @type {Record<string, (stream: Stream | undefined, text: string, key: string) => unknown>} What a test tells it to
 * do.
 */
const orders = {
  mark: (_stream, _text, key) => say({ mark: key }),
  send: (stream, text) => stream?.send({ data: text }),
  close: (stream) => stream?.close(),
  destroy: (stream) => stream?.destroy(),
  fail: (stream) => stream && waiting.get(stream)?.('fail'),
  publish: async (_stream, text) => news.publish({ data: text }),
  size: () => hub.size,
  ...runOrders,
  'shut-down': () => {
    void shutDown()
  },
}

/** @param {Request} request */
async function answer(request) {
  const { pathname, searchParams } = new URL(request.url)
  const key = searchParams.get('key') ?? ''
  const [, place, name = ''] = pathname.split('/')
  if (place === 'order') {
    const done = await orders[name]?.(streams.get(key), searchParams.get('text') ?? '', key)
    return Response.json(done ?? null)
  }
  const response = await answers.get(name)?.(request, key)
  response?.headers.append('Set-Cookie', 'earlier=1')
  return response ?? new Response('not found', { status: 404 })
}

/** @param {unknown} error */
function sorry(error) {
  say({ rejected: String(error) })
  return new Response('sorry', { status: 500 })
}

const server = Bun ? serveOnBun() : Deno ? serveOnDeno() : await serveOnNode()

function serveOnBun() {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', idleTimeout: 30, fetch: answer, error: sorry })
  console.log(`http://127.0.0.1:${server.port}`)
  return { close: () => server.stop() }
}

function serveOnDeno() {
  /** @param {{ port: number }} address */
  const onListen = ({ port }) => console.log(`http://127.0.0.1:${port}`)
  const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen, onError: sorry }, answer)
  return { close: () => server.shutdown() }
}

async function serveOnNode() {
  const { serve } = await import('@hono/node-server')
  /** @param {Request} request */
  const fetch = (request) => answer(request).catch(sorry)
  const server = serve({ fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
    console.log(`http://127.0.0.1:${port}`)
  })
  return { close: () => new Promise((resolve) => server.close(resolve)) }
}

async function shutDown() {
  const down = server.close()
  await Promise.all([hub, runs].map((each) => each.shutdown({ grace: 5_000 })))
  await down
  say({ down: true })
}
