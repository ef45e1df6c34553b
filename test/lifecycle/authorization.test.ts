import { describe, expect, expectTypeOf, it, onTestFinished, vi } from 'vitest'
import { Authorization, type Authorize, type Grant } from '../../src/lifecycle/authorization.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/serve.ts'
import { closed, fakeStream, nextTurn } from '../support/streams.ts'

const SETTINGS = { reauthorize: 0, authorizeTimeout: 5_000, retry: 1_000 }

/** Opens a stream whose client `authorize` has admitted. */
function admitted(authorize: (stream: SseStream) => boolean | Promise<boolean>, reauthorize = 0) {
  const opened = fakeStream()
  const authorization = new Authorization(opened.stream, {
    ...SETTINGS,
    reauthorize,
    authorize: authorize as never,
  })
  authorization.start()
  return { ...opened, authorization }
}

describe('Grant', () => {
  it('has a context or a time of expiry', () => {
    expectTypeOf<{ context: { userId: string }; expiresAt: number | undefined }>().toExtend<Grant>()
    expectTypeOf<{ expiresAt: Date }>().toExtend<Grant>()
    expectTypeOf<object>().not.toExtend<Grant>()
    expectTypeOf<{ context: undefined }>().not.toExtend<Grant>()
    expectTypeOf<{ context: undefined; expiresAt: Date }>().not.toExtend<Grant>()
    expectTypeOf<{ context: { userId: string } | undefined }>().not.toExtend<Grant>()
    expectTypeOf<{ expiresAt: number | undefined }>().not.toExtend<Grant>()
  })

  it('may be one of several values that an inferred type has', () => {
    const authorize = async (stream: SseStream) => {
      if (stream.closed) return { status: 401 }
      if (stream.lastEventId) return { retry: 5_000 }
      return stream.format === 'json' ? { expiresAt: 2e12 } : { context: { userId: 'ada' } }
    }
    expectTypeOf(authorize).toExtend<Authorize>()
  })
})

describe('stream.reauthorize', () => {
  it('is decided by rights from after the call, at whatever step of another check it occurs', async () => {
    for (let steps = 0; steps < 60; steps++) {
      let isAllowed = true
      const { stream } = admitted(async () => isAllowed)
      const first = stream.reauthorize()
      for (let step = 0; step < steps; step++) await undefined
      isAllowed = false
      expect(await stream.reauthorize(), `after ${steps} steps`).toBe(false)
      await first
    }
  })

  it('calls authorize once more for many calls during a check', async () => {
    const decision = deferred<boolean>()
    const authorize = vi.fn(() => decision.promise)
    const { stream } = admitted(authorize)
    const results = Array.from({ length: 1_000 }, () => stream.reauthorize())
    decision.resolve(true)
    expect(new Set(await Promise.all(results))).toEqual(new Set([true]))
    expect(authorize).toHaveBeenCalledTimes(2)
  })

  it('does not report an error that the disconnect of the client has caused', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => print.mockRestore())
    const decision = deferred<boolean>()
    const { stream, transport } = admitted(() => decision.promise)
    const result = stream.reauthorize()
    const end = closed(stream)
    transport.lose()
    decision.reject(new DOMException('The request was aborted.', 'AbortError'))
    expect(await result).toBe(false)
    expect(await end).toMatchObject({ reason: 'client' })
    expect(print).not.toHaveBeenCalled()
  })

  it('refuses a stream that is ending', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    let isAllowed = true
    const { stream, transport } = admitted(() => isAllowed)
    transport.isFull = true
    for (const data of ['written', 'queued']) {
      stream.send({ data })
      await nextTurn()
    }
    stream.close()
    await stream.reauthorize()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(transport.isDestroyed).toBe(false)
    isAllowed = false
    await stream.reauthorize()
    await vi.advanceTimersByTimeAsync(1_500)
    expect(transport.isDestroyed).toBe(true)
  })

  it('is repeated at its interval while a stream is ending', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    let isAllowed = true
    const { stream, transport } = admitted(() => isAllowed, 10_000)
    transport.isFull = true
    for (const data of ['written', 'queued']) {
      stream.send({ data })
      await nextTurn()
    }
    stream.close()
    await vi.advanceTimersByTimeAsync(11_500)
    expect(transport.isDestroyed).toBe(false)
    isAllowed = false
    await vi.advanceTimersByTimeAsync(12_000)
    expect(transport.isDestroyed).toBe(true)
  })
})
