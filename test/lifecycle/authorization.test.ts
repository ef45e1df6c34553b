import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Authorization } from '../../src/lifecycle/authorization.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/serve.ts'
import { closed, fakeStream } from '../support/streams.ts'

const SETTINGS = { reauthorize: 0, authorizeTimeout: 5_000, retry: 1_000 }

/** Opens a stream whose client `authorize` has admitted. */
function admitted(authorize: (stream: SseStream) => boolean | Promise<boolean>) {
  const opened = fakeStream()
  const authorization = new Authorization(opened.stream, { ...SETTINGS, authorize: authorize as never })
  authorization.start()
  return { ...opened, authorization }
}

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
})
