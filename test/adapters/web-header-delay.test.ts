import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { closed, settled } from '../support/streams.ts'

const PATH = 'http://127.0.0.1/stream'

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
