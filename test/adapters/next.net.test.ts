import type createApp from 'next'
import type { NextRequest } from 'next/server.js'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { sse } from '../../src/adapters/next.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { buildOnNext, environment, requireOfNext } from '../fixtures/next-build/build.ts'
import type { MountedOnNext } from '../fixtures/next-contract/mounted.js'
import { get } from '../support/client.ts'
import { listen } from '../support/serve.ts'
import { type AnyHandler, adapterContract } from './contract.ts'

const mounted = new Map<string, MountedOnNext>()
let app: ReturnType<typeof createApp.default>

beforeAll(async () => {
  const dir = await buildOnNext('test/fixtures/next-contract')
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  vi.stubGlobal('mounted', mounted)
  const next: typeof createApp.default = requireOfNext('next')
  app = next({ dir, dev: false })
  await app.prepare()
}, 120_000)

afterAll(() => app?.close())

/** Puts a handler behind a server of its own: what the route is built with is asked for by the port. */
async function serve(handler: AnyHandler, options: SseStreamOptions = {}) {
  const errors: unknown[] = []
  const answer = app.getRequestHandler()
  const server = await listen((request, response) => void answer(request, response))
  mounted.set(`127.0.0.1:${server.port}`, {
    handler: (stream, request) => handler(stream as never, { body: () => request.text() }) as never,
    options: { ...options, onError: (error: unknown) => errors.push(error) },
    errors,
  })
  return { ...server, errors }
}

adapterContract({
  name: 'Next, as it was built',
  sse,
  passesOn: false,
  keepsEarlierHeaders: true,
  cutsBody: true,
  serve,
})

describe('Next', () => {
  it('answers as redirect() and notFound() say, before the head has left', async () => {
    const { notFound, redirect }: typeof import('next/navigation.js') = requireOfNext('next/navigation')
    const { port, errors } = await serve((stream) => (stream.lastEventId ? notFound() : redirect('/there')))
    const moved = await get('http', port, { path: '/stream' })
    expect([moved.status, moved.headers.location]).toEqual([307, '/there'])
    const missing = await get('http', port, { path: '/stream?lastEventId=1' })
    expect([missing.status, errors]).toEqual([404, []])
  })

  it('types what a route exports, and what its handler is given', () => {
    type Context<Params> = { params: Promise<Params> }
    const route = sse<{ id: string }>(async (stream, request, { params }) => {
      expectTypeOf(stream).toEqualTypeOf<SseStream>()
      expectTypeOf(request).toEqualTypeOf<NextRequest>()
      expectTypeOf(await params).toEqualTypeOf<{ id: string }>()
    })
    expectTypeOf(route).toBeCallableWith({} as NextRequest, {} as Context<{ id: string }>)
    // @ts-expect-error the params of another route
    expectTypeOf(route).toBeCallableWith({} as NextRequest, {} as Context<{ name: string }>)
    // Named where they are used, as by the `RouteContext` of Next.
    expectTypeOf(sse((_stream, _request, _context: Context<{ id: string }>) => {})).toEqualTypeOf(route)
    // @ts-expect-error they are not named
    sse(async (_stream, _request, { params }) => void (await params).id)
  })
})
