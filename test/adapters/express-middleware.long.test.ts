import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type RequestListener } from 'node:http'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import compression from 'compression'
import cors from 'cors'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import session from 'express-session'
import helmet from 'helmet'
import morgan from 'morgan'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import type { SseHandler } from '../../src/http/handler.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get } from '../support/client.ts'
import { dataOf, parseEvents } from '../support/parse.ts'
import { deferred, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const frameworks: ReadonlyArray<readonly [name: string, framework: typeof express]> = [
  ['Express 5', express],
  // Only the types of Express 5 are installed.
  ['Express 4', createRequire(import.meta.url)('express-4') as typeof express],
]

declare module 'express-session' {
  interface SessionData {
    visits: number
  }
}

interface Sessions {
  readonly saveUninitialized: boolean
  readonly rolling: boolean
}

const sessions: ReadonlyArray<readonly [what: string, options: Sessions]> = [
  ['a session for every client', { saveUninitialized: true, rolling: false }],
  ['sessions that are only saved with data', { saveUninitialized: false, rolling: false }],
  ['sessions with rolling cookies', { saveUninitialized: false, rolling: true }],
]

const NAMES = ['compression', 'helmet', 'cors', 'session', 'morgan'] as const

type Order = ReadonlyArray<(typeof NAMES)[number]>

const PAGE = 'https://page.example'

describe.each(frameworks)('%s behind compression, helmet, cors, a session and a log', (_name, framework) => {
  it.each(sessions)(
    'streams in any order of the middlewares, with %s',
    { timeout: 60_000 },
    async (_what, options) => {
      const apps = permutations(NAMES).map((order) => new OrderedApp(framework, order, options))
      expect(apps).toHaveLength(120)
      const { port } = await serve(dispatchTo(apps))
      for (const [index, app] of apps.entries()) {
        const seen = await app.visit((path, headers) =>
          get('http', port, { path: `/${index}${path}`, headers }),
        )
        expect(seen, app.order.join(', ')).toEqual(expected(options))
      }
      for (const { log, order } of apps) expect(log.lines.sort(), order.join(', ')).toEqual(LOG)
    },
  )
})

describe('compression without no-transform', () => {
  // Without no-transform, the middleware compresses the stream and buffers it until it is flushed.
  const options = { headers: { 'Cache-Control': 'no-cache' } }

  async function serveCompressed(handler: SseHandler<readonly [express.Request, express.Response]>) {
    const app = express()
    app.use(compression())
    app.get('/', sse(handler, options))
    const { port } = await serve(app)
    const asked = http.get({ port, agent: false, headers: { 'accept-encoding': 'gzip' } })
    onTestFinished(() => void asked.destroy())
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect(response.headers['content-encoding']).toBe('gzip')
    return response.pipe(createGunzip()).setEncoding('utf8')
  }

  it('sends every event immediately', async () => {
    const opened = deferred<SseStream>()
    const body = await serveCompressed((stream) => opened.resolve(stream))
    const stream = await opened.promise
    let [text, count] = ['', 0]
    stream.send({ data: `event ${count}` })
    for await (const piece of body) {
      text += piece
      if (!text.endsWith(`data: event ${count}\n\n`)) continue
      count += 1
      if (count === 3) break
      stream.send({ data: `event ${count}` })
    }
    expect(parseEvents(text)).toHaveLength(3)
  })

  it('pauses a source while the client is behind', async () => {
    const data = randomBytes(25_000).toString('hex')
    const body = await serveCompressed(function* () {
      for (let id = 1; id <= 8; id++) yield { id, data }
    })
    const events = parseEvents(await text(body))
    expect(events.map(({ id }) => Number(id))).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(new Set(events.map((event) => event.data))).toEqual(new Set([data]))
  })

  it('adds no listener each time its buffer is full', async () => {
    const warning = vi.fn()
    process.on('warning', warning)
    onTestFinished(() => void process.off('warning', warning))
    const body = await serveCompressed(function* () {
      for (let id = 1; id <= 100; id++) yield { id, data: 'x'.repeat(50_000) }
    })
    expect(parseEvents(await text(body))).toHaveLength(100)
    await nextTurn()
    expect(warning).not.toHaveBeenCalled()
  })
})

// The statements of docs/frameworks/express.md about sessions, with the memory store of express-session.
describe('a session', () => {
  async function open(resave: boolean) {
    const store = new session.MemoryStore()
    const opened = deferred<[stream: SseStream, request: express.Request]>()
    const app = express()
    app.use(session({ secret: 'a test secret', resave, saveUninitialized: true, store }))
    app.get('/login', (request, response) => {
      request.session.visits = 1
      response.end()
    })
    app.get('/logout', (request, response) => request.session.destroy(() => response.end()))
    app.get(
      '/',
      sse((stream, request) => {
        stream.send({ data: String(request.session.visits) })
        opened.resolve([stream, request])
      }),
    )
    const { port } = await serve(app)
    const cookie = sessionCookie(await get('http', port, { path: '/login' })) ?? ''
    const ask = (path: string) => get('http', port, { path, headers: { cookie } })
    const client = await ask('/')
    await client.until('data: 1\n\n')
    const [stream, request] = await opened.promise
    const visits = async () => {
      const saved = await promisify<session.SessionData | null | undefined>((done) =>
        store.get(request.sessionID, done),
      )()
      return saved?.visits
    }
    return { client, stream, request, visits, ask }
  }

  it('is saved when the stream ends, but not when the client disconnects first', async () => {
    const ending = await open(false)
    ending.request.session.visits = 2
    ending.stream.close()
    await ending.client.ended
    expect(await ending.visits()).toBe(2)

    const left = await open(false)
    left.request.session.visits = 2
    left.client.disconnect()
    await once(left.stream, 'close')
    expect(await left.visits()).toBe(1)
  })

  it('is restored by the end of the stream with resave if it was destroyed meanwhile', async () => {
    for (const [resave, visits] of [
      [false, undefined],
      [true, 1],
    ] as const) {
      const { client, stream, ask, ...session } = await open(resave)
      await (await ask('/logout')).ended
      expect(await session.visits()).toBeUndefined()
      stream.close()
      await client.ended
      expect(await session.visits()).toBe(visits)
    }
  })
})

/** One application with a particular order of its middlewares. */
class OrderedApp {
  readonly order: Order
  readonly app: Express
  readonly log = new Log()
  readonly #options: Sessions
  readonly #errors: unknown[] = []
  readonly #opened = deferred<SseStream>()

  constructor(framework: typeof express, order: Order, options: Sessions) {
    this.order = order
    this.#options = options
    this.app = framework()
    for (const name of order) this.app.use(this.#middleware(name))
    this.#route()
  }

  /** Visits an application as a client, first without a cookie and then with the received one. */
  async visit(ask: (path: string, headers: Record<string, string>) => Promise<Client>) {
    const headers = { origin: PAGE, 'accept-encoding': 'gzip, deflate, br' }
    const words = await ask('/words', headers)
    await words.ended
    const cookie = sessionCookie(words) ?? ''

    const open = await ask('/open', { ...headers, cookie })
    await open.until((body) => /^:\nretry: \d+\n/.test(body))
    const stream = await this.#opened.promise
    stream.send({ data: 'live' })
    await open.until('data: live\n\n')
    const end = closed(stream)
    open.disconnect()
    await end

    const failed = await ask('/fails', { ...headers, cookie })
    const refused = await ask('/refuses', { ...headers, cookie })
    const json = await ask('/words', { ...headers, cookie, accept: 'text/event-stream;q=0' })
    await Promise.all([failed.ended, refused.ended, json.ended, this.log.until(LOG.length)])
    return {
      words: [...headOf(words), dataOf(words), cookie !== ''],
      open: [...headOf(open), dataOf(open), sessionCookie(open) !== undefined, (await end).reason],
      failed: [...headOf(failed), failed.body, this.#errors],
      refused: [...headOf(refused), refused.body],
      json: headOf(json),
    }
  }

  #middleware(name: Order[number]): RequestHandler {
    switch (name) {
      case 'compression':
        return compression({ threshold: 0 }) as RequestHandler
      case 'helmet':
        return helmet() as RequestHandler
      case 'cors':
        return cors({ origin: PAGE, credentials: true })
      case 'session':
        return session({ secret: 'a test secret', resave: false, ...this.#options })
      case 'morgan':
        return morgan(':method :url :status', { stream: this.log }) as RequestHandler
    }
  }

  #route(): void {
    const count = ({ session }: express.Request) => {
      // An application that saves every session needs no data in it.
      if (!this.#options.saveUninitialized) session.visits = (session.visits ?? 0) + 1
      return String(session.visits)
    }
    this.app.get(
      '/words',
      sse((_stream, request) => [count(request), 'last']),
    )
    this.app.get('/words', (_request, response) => void response.json({ long: 'x'.repeat(2_000) }))
    this.app.get(
      '/open',
      sse((stream, request) => {
        this.#opened.resolve(stream)
        stream.send({ data: count(request) })
      }),
    )
    this.app.get('/fails', sse(fail))
    this.app.get(
      '/refuses',
      sse((_stream, _request, response) => void response.status(401).end()),
    )
    this.app.use(((error, _request, response, _next) => {
      this.#errors.push(error.message)
      response.status(500).json({ error: 'sorry' })
    }) satisfies ErrorRequestHandler)
  }
}

function expected({ saveUninitialized, rolling }: Sessions) {
  const common = [PAGE, 'true', 'nosniff']
  const streamed = [200, 'text/event-stream; charset=utf-8', undefined, ['origin'], ...common]
  const [first, second] = saveUninitialized ? ['undefined', 'undefined'] : ['1', '2']
  return {
    words: [...streamed, [first, 'last'], true],
    open: [...streamed, [second, 'live'], rolling, 'client'],
    failed: [
      500,
      'application/json; charset=utf-8',
      expect.anything(),
      expect.arrayContaining(['origin']),
      ...common,
      expect.any(String),
      ['of the handler'],
    ],
    refused: [401, undefined, undefined, expect.arrayContaining(['origin']), ...common, ''],
    json: [
      200,
      'application/json; charset=utf-8',
      expect.stringMatching(/^(gzip|br)$/),
      ['accept', 'accept-encoding', 'origin'],
      ...common,
    ],
  }
}

// The log of a visit has one line per request, however it ended.
const LOG = ['GET /fails 500', 'GET /open 200', 'GET /refuses 401', 'GET /words 200', 'GET /words 200']

function headOf({ status, headers }: Client): unknown[] {
  return [
    status,
    headers['content-type'],
    headers['content-encoding'],
    String(headers.vary).toLowerCase().split(', ').sort(),
    headers['access-control-allow-origin'],
    headers['access-control-allow-credentials'],
    headers['x-content-type-options'],
  ]
}

function sessionCookie({ headers }: Client): string | undefined {
  const cookies = [headers['set-cookie'] ?? []].flat()
  return cookies.find((cookie) => cookie.startsWith('connect.sid='))?.split(';')[0]
}

/** The destination of a log. */
class Log {
  readonly lines: string[] = []
  #isLongEnough: () => void = () => {}

  write(line: string): void {
    this.lines.push(line.trim())
    this.#isLongEnough()
  }

  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#isLongEnough = () => void (this.lines.length >= count && resolve())
      this.#isLongEnough()
    })
  }
}

/** Mounts each application below its index: `/17/open` is `/open` of application 17. */
function dispatchTo(apps: readonly OrderedApp[]): RequestListener {
  return (request, response) => {
    const [, index, path] = /^\/(\d+)(.*)$/.exec(request.url ?? '') ?? []
    request.url = path
    apps[Number(index)]?.app(request, response)
  }
}

function permutations<T>(of: readonly T[]): T[][] {
  if (of.length === 0) return [[]]
  return of.flatMap((first) =>
    permutations(of.filter((each) => each !== first)).map((rest) => [first, ...rest]),
  )
}

function fail(): never {
  throw new Error('of the handler')
}

it('sends the first byte immediately, even with compression', async () => {
  const app = express().use(compression({ threshold: 0 }))
  app.get(
    '/',
    sse(() => {}, { headers: { 'Cache-Control': 'no-cache' }, retry: 0 }),
  )
  const { port } = await serve(app)
  const request = http.get({ port, headers: { 'Accept-Encoding': 'gzip' }, agent: false })
  onTestFinished(() => void request.destroy())
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  expect(response.headers['content-encoding']).toBe('gzip')
  const [opening] = await once(response.pipe(createGunzip()), 'data')
  expect(String(opening)).toBe(':\n: heartbeat 15000\n')
})

it.each(['gzip', 'br'])('compresses a stream once with %s, also behind compression', async (encoding) => {
  const opened = deferred<SseStream>()
  // Without `no-transform`, only the encoding stops the middleware.
  const headers = { 'Cache-Control': 'no-cache' }
  const app = express().use(compression({ threshold: 0, filter: () => true }))
  app.get(
    '/',
    sse((stream) => opened.resolve(stream as SseStream), { compress: true, headers }),
  )
  const { port } = await serve(app)
  const client = await get('http', port, { headers: { 'accept-encoding': encoding } })
  expect(client.headers['content-encoding']).toBe(encoding)
  const stream = await opened.promise
  for (let id = 1; id <= 5; id++) {
    stream.send({ data: `event ${id}` })
    await client.until(`data: event ${id}\n\n`)
  }
  stream.close()
  expect(await client.ended).toBe('end')
})
