import type createApp from 'next'
import type { NextRequest } from 'next/server.js'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { type RouteContext, sse } from '../../src/adapters/next.ts'
import type { AnyEvents } from '../../src/event/event.ts'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { buildOnNext, environment, requireOfNext } from '../fixtures/next-build/build.ts'
import type { MountedOnNext } from '../fixtures/next-contract/mounted.js'
import { get } from '../support/client.ts'
import { listen } from '../support/serve.ts'
import { type AnyHandler, adapterContract, type ContractRequest } from './contract.ts'

const responseOf: ContractRequest['respond'] = (status, headers, body) =>
  Response.json(body, { status, headers })

const mounted = new Map<string, MountedOnNext>()
let app: ReturnType<typeof createApp.default>

beforeAll(async () => {
  const dir = await buildOnNext('test/fixtures/next-contract')
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  vi.stubGlobal('mounted', mounted)
  const next: typeof createApp.default = requireOfNext('next')
  app = next({ dir, dev: false })
  await app.prepare()
}, 300_000)

afterAll(() => app?.close())

/** Serves a handler on its own server. The built route looks up the handler by the port. */
async function serve(handler: AnyHandler, options: SseHandlerOptions = {}) {
  const errors: unknown[] = []
  const handle = app.getRequestHandler()
  const server = await listen((request, response) => void handle(request, response))
  mounted.set(`127.0.0.1:${server.port}`, {
    handler: (stream, request) =>
      handler(stream as never, { body: () => request.text(), respond: responseOf }) as never,
    options: { ...options, onError: (error: unknown) => errors.push(error) },
    errors,
  })
  return { ...server, errors }
}

adapterContract({
  name: 'sse of spillway/next in a built app',
  sse,
  passesOn: false,
  keepsEarlierHeaders: true,
  cutsBody: true,
  removesEncoding: true,
  patchesFetch: true,
  serve,
})

describe('sse of spillway/next', () => {
  it('lets redirect() and notFound() respond before the headers are sent', async () => {
    const { notFound, redirect }: typeof import('next/navigation.js') = requireOfNext('next/navigation')
    const { port, errors } = await serve((stream) => (stream.lastEventId ? notFound() : redirect('/there')))
    const moved = await get('http', port, { path: '/stream' })
    expect([moved.status, moved.headers.location]).toEqual([307, '/there'])
    const missing = await get('http', port, { path: '/stream?lastEventId=1' })
    expect([missing.status, errors]).toEqual([404, []])
  })

  it('has the types of the route and of its handler', () => {
    type Context<Params> = { params: Promise<Params> }
    const route = sse<AnyEvents, { id: string }>(async (stream, request, { params }) => {
      expectTypeOf(stream).toEqualTypeOf<SseStream<AnyEvents, NextRequest>>()
      expectTypeOf(request).toEqualTypeOf<NextRequest>()
      expectTypeOf(await params).toEqualTypeOf<{ id: string }>()
    })
    expectTypeOf(route).toBeCallableWith({} as NextRequest, {} as Context<{ id: string }>)
    // @ts-expect-error: these are the params of another route.
    expectTypeOf(route).toBeCallableWith({} as NextRequest, {} as Context<{ name: string }>)
    // The params are inferred from the annotation of the context.
    expectTypeOf(sse((_stream, _request, _context: Context<{ id: string }>) => {})).toEqualTypeOf(route)
    // @ts-expect-error: the params have no type.
    sse(async (_stream, _request, { params }) => void (await params).id)
  })

  it('has the events as its first type argument', () => {
    interface Prices {
      price: number
    }
    const route = sse<Prices>((stream) => {
      stream.send({ event: 'price', data: 7 })
      // @ts-expect-error: a price is a number.
      stream.send({ event: 'price', data: '7' })
    })
    expectTypeOf(route).toBeCallableWith({} as NextRequest, {} as RouteContext<{ id: string }>)
    const both = sse<Prices, { id: string }>(async (stream, _request, { params }) => {
      expectTypeOf(stream).toEqualTypeOf<SseStream<Prices, NextRequest>>()
      expectTypeOf(await params).toEqualTypeOf<{ id: string }>()
    })
    expectTypeOf(both).parameter(1).toEqualTypeOf<RouteContext<{ id: string }>>()
    // Both are inferred from annotations.
    const inferred = sse((_stream: SseStream<Prices>, _request, _context: RouteContext<{ id: string }>) => {})
    expectTypeOf(inferred).toEqualTypeOf(both)
    // @ts-expect-error: the handler returns an event that the stream does not have.
    sse<Prices>(() => [{ event: 'halt', data: 7 }])
  })
})
