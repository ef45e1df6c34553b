import { expect, test } from 'vitest'
import { MAX_TIME } from '../../src/check-options.ts'
import { closeForShutdown } from '../../src/lifecycle/graceful-close.ts'
import { jitter } from '../../src/scheduler/jitter.ts'
import { fakeStream } from '../support/streams.ts'

test('is from a time to twice that time', () => {
  expect([jitter(1_000, 0), jitter(1_000, 0.5), jitter(1_000, 1)]).toEqual([1_000, 1_500, 2_000])
  const random = jitter(1_000)
  expect(random).toBeGreaterThanOrEqual(1_000)
  expect(random).toBeLessThanOrEqual(2_000)
})

test('is at most the longest timer of a client, also in a shutdown', () => {
  expect(jitter(MAX_TIME)).toBe(MAX_TIME)
  const { stream, transport } = fakeStream()
  closeForShutdown(stream, MAX_TIME, 1)
  expect(transport.all.join('')).toContain(`retry: ${MAX_TIME}\n`)
})
