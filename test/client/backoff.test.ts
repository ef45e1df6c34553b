import { expect, test, vi } from 'vitest'
import { backoff, probeDelay, retryAfterOf, setDeadline } from '../../src/client/backoff.ts'

test('backs off with full jitter, from 100 ms at least to 30 s at most', () => {
  const delays = (retry: number) => [0, 1, 2, 20].map((failures) => backoff(retry, failures))
  vi.spyOn(Math, 'random').mockReturnValue(0.999_999)
  expect(delays(1000).map(Math.round)).toEqual([1000, 2000, 4000, 30_000])
  expect(delays(0).map(Math.round)).toEqual([100, 200, 400, 30_000])
  vi.spyOn(Math, 'random').mockReturnValue(0)
  expect(delays(1000)).toEqual([0, 0, 0, 0])
  vi.restoreAllMocks()
})

test('probes after 30 s, doubled up to 10 min, with a quarter of jitter', () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  expect([0, 1, 4, 5, 99].map(probeDelay)).toEqual([30_000, 60_000, 480_000, 600_000, 600_000])
  vi.spyOn(Math, 'random').mockReturnValue(0)
  expect(probeDelay(0)).toBe(22_500)
  vi.restoreAllMocks()
})

test('reads Retry-After as seconds or a date, and bounds it', () => {
  vi.useFakeTimers({ now: new Date('2026-01-01T00:00:00Z') })
  const values = [
    '5',
    '0',
    '999999',
    'Thu, 01 Jan 2026 00:00:30 GMT',
    'Thu, 01 Jan 1970 00:00:00 GMT',
    'soon',
    '',
    null,
  ]
  expect(values.map(retryAfterOf)).toEqual([5000, 0, 600_000, 30_000, 0, 0, 0, 0])
  vi.useRealTimers()
})

test('reaches a deadline only after the data that waited while the program was blocked', async () => {
  const onReached = vi.fn()
  const { signal } = new AbortController()
  const clear = setDeadline(150, onReached, signal)
  const end = Date.now() + 400
  while (Date.now() < end);
  // The phase of the event loop that reads sockets is before this one, and after that of the timers.
  await new Promise((resolve) => setImmediate(resolve))
  expect(onReached).not.toHaveBeenCalled()
  clear()
})

test('reaches no deadline after its signal is aborted, or if it is aborted already', async () => {
  vi.useFakeTimers()
  const onReached = vi.fn()
  const controller = new AbortController()
  setDeadline(150, onReached, controller.signal)
  controller.abort()
  setDeadline(150, onReached, controller.signal)
  await vi.advanceTimersByTimeAsync(1000)
  expect(onReached).not.toHaveBeenCalled()
  vi.useRealTimers()
})
