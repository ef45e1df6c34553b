import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { closed, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'

const PADDED = { maxHeaderDelay: 60_000, heartbeat: 0, formats: ['event-stream', 'ndjson'] as const }

// The clock that all streams share has the only timer.
beforeEach(() => void vi.useFakeTimers())
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

describe('the delay of the headers of a web handler', () => {
  it.each<[string, () => unknown]>([
    ['a Response', () => new Response()],
    ['nothing', () => undefined],
    ['an error', () => Promise.reject(new Error('of the handler'))],
    ['events', () => [{ data: 1 }]],
  ])('leaves no timer and no listener when the handler ends with %s', async (_what, end) => {
    const request = new Request(PATH)
    const handler = async () => {
      await settled()
      return end()
    }
    const waiting = sse(handler as never, { maxHeaderDelay: 60_000, heartbeat: 0 })(request)
    expect(vi.getTimerCount()).toBe(1)
    await (await waiting.catch(() => undefined))?.body?.cancel()
    await settled()
    expect(getEventListeners(request.signal, 'abort')).toEqual([])
  })

  it('ends when the client disconnects', async () => {
    const controller = new AbortController()
    const opened = deferred<SseStream>()
    const handler = (stream: SseStream) => {
      opened.resolve(stream)
      return new Promise<void>(() => {})
    }
    const respond = sse(handler, { maxHeaderDelay: 60_000, heartbeat: 0 })
    const waiting = respond(new Request(PATH, { signal: controller.signal }))
    const end = closed(await opened.promise)
    controller.abort()
    expect(await end).toEqual({ reason: 'client', error: undefined })
    expect(await (await waiting).text()).toMatch(/^:\n/)
  })

  it('is not ended by the padding of a stream that asks for padded heartbeats', async () => {
    const decision = deferred<Response>()
    const respond = sse((() => decision.promise) as never, PADDED)
    const waiting = respond(new Request(`${PATH}?padded=1`))
    await vi.advanceTimersByTimeAsync(1_000)
    decision.resolve(new Response(null, { status: 404 }))
    expect((await waiting).status).toBe(404)
    await settled()
  })

  it('is followed by the padding', async () => {
    const [isReady, isDone] = [deferred<void>(), deferred<void>()]
    const handler = async (stream: SseStream) => {
      await isReady.promise
      stream.send({ data: 'first' })
      await isDone.promise
      stream.close()
    }
    const waiting = sse(handler, PADDED)(new Request(`${PATH}?padded=1`))
    await vi.advanceTimersByTimeAsync(1_000)
    isReady.resolve()
    await settled()
    await vi.advanceTimersByTimeAsync(1_000)
    isDone.resolve()
    expect(await (await waiting).text()).toMatch(/data: first\n\n:.{1000,}\n/)
  })

  it('ends when the stream is destroyed', async () => {
    const handler = async (stream: SseStream) => {
      await settled()
      stream.destroy()
      return new Promise<void>(() => {})
    }
    const response = await sse(handler, { maxHeaderDelay: 60_000, heartbeat: 0 })(new Request(PATH))
    await expect(response.text()).rejects.toMatchObject({ name: 'AbortError' })
  })
})
