import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { RingBuffer } from '../../../src/ring-buffer.ts'
import { startPublisher } from './fake-server.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

describe('a publisher', () => {
  test('sends a long burst in order, without visiting all of it for each message', async () => {
    const { server, publish } = startPublisher()
    const visits = vi.spyOn(RingBuffer.prototype, 'at')
    onTestFinished(() => visits.mockRestore())
    const payloads = Array.from({ length: 2_000 }, (_, i) => String(i))
    const published = Promise.all(payloads.map(publish))
    for (const payload of server.sent()) server.fail(payload, { name: 'TimeoutError' })
    await vi.advanceTimersByTimeAsync(200)
    const sent: string[] = []
    while (sent.length < payloads.length) {
      const some = server.sent()
      for (const payload of some) server.acknowledge(payload)
      sent.push(...some)
      await null
    }
    await published
    expect(sent).toEqual(payloads)
    expect(visits.mock.calls.length).toBeLessThan(10 * payloads.length)
  })
})
