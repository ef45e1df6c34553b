import 'reflect-metadata'
import {
  Body,
  type CanActivate,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  type HttpException,
  Inject,
  type LoggerService,
  Module,
  Next,
  NotFoundException,
  type OnModuleDestroy,
  Post,
  type Provider,
  Req,
  Res,
  UseFilters,
  UseGuards,
} from '@nestjs/common'
import { type AbstractHttpAdapter, APP_FILTER, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import type { NextFunction, Request, Response } from 'express'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { sse as expressSse } from '../../src/adapters/express.ts'
import { sse as fastifySse } from '../../src/adapters/fastify/index.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseHandler } from '../../src/http/handler.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { eventsFor, SDKS, TEXT } from '../clients/sdks.ts'
import { type Get as Ask, type Client, get, rawClient } from '../support/client.ts'
import { decorate, decorateMethod } from '../support/decorate.ts'
import { dataOf, parseEvents } from '../support/parse.ts'
import { deferred } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

interface Platform {
  readonly name: string
  adapter(tell: (error: string) => void): AbstractHttpAdapter
  /** Creates a stream from the values of `@Req()` and `@Res()`, as a controller does. */
  stream(request: unknown, response: unknown): SseStream
  /** Responds with a handler, as a controller does. */
  answer(handler: SseHandler): (request: unknown, response: unknown, next: unknown) => void
}

const platforms: Platform[] = [
  {
    name: 'Express',
    adapter: () => new ExpressAdapter(),
    stream: (request, response) => createSseStream(request as Request, response as Response),
    answer(handler) {
      const answer = expressSse(handler)
      return (request, response, next) =>
        void answer(request as Request, response as Response, next as NextFunction)
    },
  },
  {
    name: 'Fastify',
    adapter: (tell) => new FastifyAdapter({ logger: { level: 'error', stream: { write: tell } } }),
    stream: (request, reply) => createSseStream((request as FastifyRequest).raw, (reply as FastifyReply).raw),
    answer(handler) {
      const answer = fastifySse(handler)
      return (request, reply) => void answer(request as FastifyRequest, reply as FastifyReply)
    },
  },
]

// The server waits for open streams when it closes, so close them before, in this hook or in
// `beforeApplicationShutdown`.
class NewsHub extends Hub implements OnModuleDestroy {
  onModuleDestroy(): Promise<void> {
    return this.shutdown()
  }
}

class NotBanned implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return context.switchToHttp().getRequest().headers.authorization !== 'banned'
  }
}

/** Serves a Nest application. `generate` handles `POST /chat`. */
async function serveNest(platform: Platform, generate: SseHandler = () => {}, providers: Provider[] = []) {
  const streams: SseStream[] = []

  class NewsController {
    readonly #hub: NewsHub
    readonly #answer = platform.answer(generate)

    constructor(hub: NewsHub) {
      this.#hub = hub
    }

    follow(request: unknown, response: unknown): void {
      const stream = platform.stream(request, response)
      streams.push(stream)
      this.#hub.subscribe(stream, ['news'])
    }

    async speak(body: object, request: unknown, response: unknown): Promise<void> {
      const stream = platform.stream(request, response)
      await stream.sendAll(eventsFor(body))
      stream.close()
    }

    async followRoom(request: unknown, response: unknown): Promise<void> {
      await Promise.reject(new NotFoundException('There is no such room.'))
      platform.stream(request, response)
    }

    chat(body: { prompt?: string }, request: unknown, response: unknown, next: unknown): void {
      Object.assign(request as object, { prompt: body.prompt })
      this.#answer(request, response, next)
    }
  }
  decorate(NewsController, [Controller()], [Inject(NewsHub)])
  decorateMethod(NewsController, 'follow', [Get('news'), UseGuards(NotBanned)], [Req(), Res()])
  decorateMethod(NewsController, 'speak', [Post('speak'), HttpCode(200)], [Body(), Req(), Res()])
  decorateMethod(NewsController, 'followRoom', [Get('room')], [Req(), Res()])
  decorateMethod(
    NewsController,
    'chat',
    [Post('chat'), Header('X-Own', 'yes'), UseFilters(filterTo('controller'))],
    [Body(), Req(), Res(), Next()],
  )

  class HubModule {}
  decorate(HubModule, [Module({ providers: [NewsHub], exports: [NewsHub] })])
  class AppModule {}
  decorate(AppModule, [Module({ imports: [HubModule], controllers: [NewsController], providers })])

  const errors: string[] = []
  const logger: LoggerService = {
    log() {},
    warn() {},
    error: (error) => errors.push(String(error)),
  }
  const adapter = platform.adapter((error) => errors.push(error))
  const app = await NestFactory.create(AppModule, adapter, { logger })
  app.enableCors()
  await app.listen(0, '127.0.0.1')
  onTestFinished(() => app.close())
  const port = Number(new URL(await app.getUrl()).port)
  const ask = (path: string, options: Ask = {}) => get('http', port, { path, ...options })
  return { app, hub: app.get(NewsHub), streams, errors, port, ask }
}

describe.each(platforms)('Nest on $name', (platform) => {
  it('streams the events of a hub behind a guard and with CORS headers', async () => {
    const { hub, ask } = await serveNest(platform)
    const client = await ask('/news', { headers: { origin: 'http://elsewhere.test' } })
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'access-control-allow-origin': '*',
    })
    await client.until(':\n')
    await hub.channel('news').publish({ event: 'headline', data: { text: 'first' } })
    await client.until('event: headline\ndata: {"text":"first"}\n\n')
  })

  it('lets Nest respond when a guard rejects, without creating a stream', async () => {
    const { ask, streams } = await serveNest(platform)
    const client = await ask('/news', { headers: { authorization: 'banned' } })
    await client.ended
    expect([client.status, JSON.parse(client.body)]).toEqual([
      403,
      { statusCode: 403, error: 'Forbidden', message: 'Forbidden resource' },
    ])
    expect(streams).toEqual([])
  })

  it('lets Nest respond to an error of a controller before the stream is created', async () => {
    const { ask } = await serveNest(platform)
    const client = await ask('/room')
    await client.ended
    expect([client.status, JSON.parse(client.body)]).toMatchObject([
      404,
      { message: 'There is no such room.' },
    ])
  })

  it('responds 406 to a client that refuses event streams (rule 18)', async () => {
    const { ask, hub, errors } = await serveNest(platform)
    const client = await ask('/news', { headers: { accept: 'text/event-stream;q=0' } })
    expect(await client.ended).toBe('end')
    expect(client.status).toBe(406)
    expect(hub.size).toBe(0)
    expect(errors).toEqual([])
  })

  it('resumes a client with no gap and no duplicate', async () => {
    const { hub, ask } = await serveNest(platform)
    const news = hub.channel('news')
    const client = await ask('/news')
    await client.until(':\n')
    await news.publish({ data: 1 })
    await client.until('data: 1\n\n')
    client.disconnect()
    await news.publish({ data: 2 })
    const back = await ask('/news', { headers: { 'last-event-id': lastIdOf(client) } })
    await back.until('data: 2\n\n')
    await news.publish({ data: 3 })
    await back.until('data: 3\n\n')
    expect(dataOf(back)).toEqual(['2', '3'])
  })

  it('unsubscribes a client that disconnects, without an error (rule 34)', async () => {
    const { hub, ask, streams, errors } = await serveNest(platform)
    const client = await ask('/news')
    await client.until(':\n')
    const [stream] = streams
    const end = closed(stream as SseStream)
    client.disconnect()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect(hub.size).toBe(0)
    expect(errors).toEqual([])
  })

  it('closes with open streams, which get a reconnection time', async () => {
    const { app, hub, ask, port } = await serveNest(platform)
    const clients = await Promise.all([ask('/news'), ask('/news')])
    // A connection that is kept open for later requests.
    clients.push(rawClient(port, 'GET /news HTTP/1.1\r\nHost: a\r\n\r\n'))
    await Promise.all(clients.map((client) => client.until(':\n')))
    expect(hub.size).toBe(3)
    await app.close()
    expect(await Promise.all(clients.map(({ ended }) => ended))).toEqual(['end', 'end', 'end'])
    for (const { body } of clients) expect(body.match(/retry: \d+\n/g)).toHaveLength(2)
  })

  it('sends events that modules publish in onModuleDestroy to open streams', async () => {
    class Farewell implements OnModuleDestroy {
      readonly #hub: NewsHub

      constructor(hub: NewsHub) {
        this.#hub = hub
      }

      async onModuleDestroy(): Promise<void> {
        await this.#hub.channel('news').publish({ data: 'goodbye' })
      }
    }
    decorate(Farewell, [], [Inject(NewsHub)])
    const { app, ask } = await serveNest(platform, undefined, [Farewell])
    const client = await ask('/news')
    await client.until(':\n')
    await app.close()
    expect(await client.ended).toBe('end')
    expect(dataOf(client)).toEqual(['goodbye'])
  })

  it('refuses streams while it closes and does not wait for them', async () => {
    const late = deferred<Client>()
    class Latecomer {
      async beforeApplicationShutdown(): Promise<void> {
        late.resolve(await served.ask('/news'))
      }
    }
    const served = await serveNest(platform, undefined, [Latecomer])
    await served.app.close()
    const client = await late.promise
    expect(client.status).toBe(200)
    expect(await client.ended).toBe('end')
    expect(client.body.match(/retry: \d+\n/g)).toHaveLength(2)
  })

  it('responds with a generator and the headers of decorators', async () => {
    const { ask } = await serveNest(platform, async function* (_stream, request) {
      for (const word of promptOf(request).split(' ')) yield { event: 'token', data: { word } }
    })
    const client = await ask('/chat', chat('to be'))
    expect(await client.ended).toBe('end')
    expect([client.status, client.headers['x-own']]).toEqual([200, 'yes'])
    expect(dataOf(client)).toEqual(['{"word":"to"}', '{"word":"be"}'])
  })

  it('responds to SDKs, which do not name event streams (rule 18)', async () => {
    const { port } = await serveNest(platform, (_stream, request) => eventsFor(bodyOf(request)))
    for (const path of ['speak', 'chat']) {
      for (const { name, read } of SDKS) {
        let text = ''
        // The SDK appends its path, which becomes the query.
        for await (const each of read(`http://127.0.0.1:${port}/${path}?path=`)) text += each
        expect([path, name, text]).toEqual([path, name, TEXT.join('')])
      }
    }
  })

  it('lets Nest respond to an error of a generator before its first event', async () => {
    // biome-ignore lint/correctness/useYield: it throws before its first yield.
    const { ask } = await serveNest(platform, async function* () {
      throw new NotFoundException('There is no such model.')
    })
    const client = await ask('/chat', chat('anything'))
    await client.ended
    expect([client.status, JSON.parse(client.body)]).toMatchObject([
      404,
      { message: 'There is no such model.' },
    ])
  })

  it('responds to an error of a generator by a global filter, not by one of the controller', async () => {
    // biome-ignore lint/correctness/useYield: it throws before its first yield.
    const generate = async function* () {
      throw new NotFoundException('There is no such model.')
    }
    const { ask } = await serveNest(platform, generate, [
      { provide: APP_FILTER, useValue: filterTo('global') },
    ])

    const client = await ask('/chat', chat('anything'))
    await client.ended

    expect([client.status, client.body]).toEqual([404, 'global'])
  })

  it('cuts a stream whose generator fails later, and logs the error without sending it', async () => {
    const ready = deferred<void>()
    const { ask, errors } = await serveNest(platform, async function* () {
      yield { data: 'first' }
      await ready.promise
      throw new Error('secret of the generator')
    })
    const client = await ask('/chat', chat('anything'))
    await client.until('data: first\n\n')
    ready.resolve()
    expect(await client.ended).toBe('cut')
    expect(client.body).not.toContain('secret')
    await expect.poll(() => errors).toEqual([expect.stringContaining('secret of the generator')])
  })
})

/** Returns an exception filter that responds to an HTTP exception with a text. */
function filterTo(text: string): ExceptionFilter<HttpException> {
  return {
    catch(exception, host) {
      const response = host.switchToHttp().getResponse<Response>()
      response.status(exception.getStatus()).send(text)
    },
  }
}

function promptOf(request: unknown): string {
  return (request as { prompt: string }).prompt
}

function bodyOf(request: unknown): object {
  return (request as { body: object }).body
}

function chat(prompt: string): Ask {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt }),
  }
}

function lastIdOf(client: Client): string {
  return parseEvents(client.body).at(-1)?.id ?? ''
}
