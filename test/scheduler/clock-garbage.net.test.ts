import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'

const CLOCK = pathToFileURL(join(import.meta.dirname, '../../dist/esm/scheduler/clock.js')).href

// Nothing is collected while the young generation has room, so that the heap grows by what is allocated.
const NODE_FLAGS = ['--expose-gc', '--max-semi-space-size=256', '--min-semi-space-size=256']

// 10 000 targets that are scheduled again in each call, 15 s later, as heartbeats are. Time passes in ticks.
const PROGRAM = `
  import { Clock, TICK } from ${JSON.stringify(CLOCK)}
  const [TARGETS, PERIOD] = [10_000, 15_000]
  const clock = new Clock()
  let time = 0
  let onTick
  clock._use(() => ({ read: () => time, start: (each) => { onTick = each; return () => {} } }))
  let calls = 0
  class Target {
    _earlier = undefined
    _later = undefined
    _onTimer(now) {
      calls += 1
      clock.schedule(this, now + PERIOD)
    }
  }
  for (let i = 0; i < TARGETS; i++) clock.schedule(new Target(), (i * PERIOD) / TARGETS)
  const pass = (periods) => {
    for (const end = time + periods * PERIOD; time < end; ) {
      time += TICK
      onTick()
    }
  }
  pass(20)
  gc()
  const before = process.memoryUsage().heapUsed
  calls = 0
  pass(5)
  console.log((process.memoryUsage().heapUsed - before) / calls)
`

test('scheduling a target again allocates less than 8 bytes, so that heartbeats leave no garbage', () => {
  const args = [...NODE_FLAGS, '--input-type=module', '--eval', PROGRAM]
  const bytes = Number(execFileSync(process.execPath, args, { encoding: 'utf8' }))
  expect(bytes).toBeLessThan(8)
})
