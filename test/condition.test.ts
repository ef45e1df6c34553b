import { expect, test } from 'vitest'
import { Condition } from '../src/condition.ts'
import { countHeld } from './support/garbage.ts'

test('a wait ends when its condition is true at a notification', async () => {
  const condition = new Condition()
  let count = 0
  const waits = [1, 2].map((needed) => condition.until(() => count >= needed).then(() => needed))
  condition.notify()
  count = 1
  condition.notify()
  expect(await Promise.race(waits)).toBe(1)
  count = 2
  condition.notify()
  expect(await Promise.all(waits)).toEqual([1, 2])
})

test('a wait rejects with the reason of its signal, before and after a notification', async () => {
  const condition = new Condition()
  const abort = new AbortController()
  const wait = expect(condition.until(() => false, abort.signal)).rejects.toBe('gone')
  condition.notify()
  abort.abort('gone')
  condition.notify()
  await wait
  await expect(condition.until(() => false, abort.signal)).rejects.toBe('gone')
})

test('a wait that is aborted is not held until the next notification', async () => {
  const condition = new Condition()
  const refs = Array.from({ length: 20 }, () => {
    const [abort, isReady] = [new AbortController(), () => false]
    condition.until(isReady, abort.signal).catch(() => {})
    abort.abort()
    return new WeakRef(isReady)
  })
  expect(await countHeld(refs)).toBeLessThan(2)
  condition.notify()
})
