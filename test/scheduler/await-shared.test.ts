import { expect, test } from 'vitest'
import { awaitShared } from '../../src/scheduler/await-shared.ts'
import { deferred } from '../support/deferred.ts'
import { countHeld } from '../support/garbage.ts'

const never = new AbortController().signal

test('a shared promise settles all that await it, in their order', async () => {
  const { promise, resolve } = deferred<string>()
  const order: number[] = []
  const waits = [1, 2, 3].map((n) => awaitShared(promise, never).finally(() => order.push(n)))
  resolve('value')
  expect(await Promise.all(waits)).toEqual(['value', 'value', 'value'])
  expect(order).toEqual([1, 2, 3])
  expect(await awaitShared(promise, never)).toBe('value')
})

test('a shared promise that is rejected rejects all that await it', async () => {
  const { promise, reject } = deferred<void>()
  const waits = [1, 2].map(() => awaitShared(promise, never))
  reject('failed')
  expect(await Promise.allSettled(waits)).toMatchObject([{ reason: 'failed' }, { reason: 'failed' }])
  await expect(awaitShared(promise, never)).rejects.toBe('failed')
})

test('a shared promise holds nothing of a caller whose signal was aborted', async () => {
  const { promise, resolve } = deferred<string>()
  const other = awaitShared(promise, never)
  const aborted = Array.from({ length: 20 }, () => {
    const abort = new AbortController()
    const wait = awaitShared(promise, abort.signal)
    wait.catch(() => {})
    abort.abort('gone')
    return new WeakRef(wait)
  })
  await expect(awaitShared(promise, AbortSignal.abort('gone'))).rejects.toBe('gone')
  expect(await countHeld(aborted)).toBeLessThan(2)
  resolve('value')
  expect(await other).toBe('value')
})
