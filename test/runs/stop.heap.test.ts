import { expect, test } from 'vitest'
import type { Runs } from '../../src/runs/runs.ts'
import { collectGarbage } from '../support/garbage.ts'
import { openTwoRuns, PushSource } from '../support/runs.ts'
import { settled } from '../support/streams.ts'

/** Starts and stops runs in two processes. Resolves with the bytes of the heap. */
async function stopMany(first: Runs, second: Runs, count: number): Promise<number> {
  for (let i = 0; i < count; i++) {
    await first.start('a', (signal) => new PushSource().read(signal))
    await second.stop('a')
    await first.delete('a')
  }
  await settled()
  collectGarbage()
  return process.memoryUsage().heapUsed
}

// Each stop would otherwise retain 70 bytes, in total 1.4 MB.
test('a process holds nothing of the runs of another process that it has stopped', async () => {
  const { first, second } = openTwoRuns()
  const before = await stopMany(first, second, 2_000)
  expect((await stopMany(first, second, 20_000)) - before).toBeLessThan(1_000_000)
})
