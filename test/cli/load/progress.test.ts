import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sharedNow } from '../../../src/cli/load/clock.ts'
import { Figures } from '../../../src/cli/load/figures.ts'
import { Progress } from '../../../src/cli/load/progress.ts'
import { Tally } from '../../../src/cli/load/tally.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
})
afterEach(() => {
  vi.useRealTimers()
})

function figuresOfRun(): Figures {
  const tally = new Tally()
  tally.record('delay', 3)
  Object.assign(tally.counts, { open: 9_999, events: 5, numbered: 5, lost: 1234 })
  const figures = new Figures(1, 1)
  const { counts, highest, longestSilence } = tally
  const mixes = [{ counts, highest, longestSilence, samples: tally.flush() }]
  figures.add(0, { mixes, load: { utilization: 0, loopDelay: 0, ownDelay: 0 } })
  return figures
}

/** Returns what is written to a terminal within ten seconds. */
function outputOf(isInteractive: boolean, columns = 80): string {
  const err = new PassThrough({ encoding: 'utf8' })
  const { signal } = new AbortController()
  const terminal = { out: new PassThrough(), err, isInteractive, hasColor: false, columns, signal }
  const progress = new Progress(figuresOfRun(), 10_000, terminal, sharedNow())
  vi.advanceTimersByTime(10_000)
  progress.stop()
  progress.stop()
  return err.read() ?? ''
}

test('the progress on a terminal is one line, which is replaced and finally removed', () => {
  const lines = outputOf(true, 200).split('\r')
  expect(lines).toHaveLength(22)
  expect(lines[1]).toMatch(
    /^0 s {3}9 999 of 10 000 open {3}.* events\/s {3}delay p50 3\.00 ms, p99 3\.00 ms {3}lost 1 234 {3}errors 0/,
  )
  expect(lines.at(-1)).toBe('\x1b[K')
})

test('the progress is never wider than the terminal', () => {
  const lines = outputOf(true, 20).split('\r').slice(1)
  expect(lines.map((line) => line.replace('\x1b[K', '').length).filter((length) => length > 19)).toEqual([])
})

test('the progress is a line every five seconds without a terminal', () => {
  const text = outputOf(false)
  expect(text.match(/\n/g)).toHaveLength(2)
  expect(text).not.toContain('\x1b')
})

test('the progress on a terminal that reports no width has 80 columns', () => {
  const lines = outputOf(true, 0).split('\r').slice(1, -1)
  expect(new Set(lines.map((line) => line.replace('\x1b[K', '').length))).toEqual(new Set([79]))
})
