import { expect, test } from 'vitest'
import { Condition } from '../src/condition.ts'
import { collectGarbage } from './support/garbage.ts'

test('a condition holds nothing of waits that were aborted', async () => {
  const condition = new Condition()
  const waitAborted = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const abort = new AbortController()
      const wait = condition.until(() => false, abort.signal).catch(() => {})
      abort.abort()
      await wait
    }
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const before = await waitAborted(3_000)
  expect((await waitAborted(30_000)) - before).toBeLessThan(1_000_000)
})
