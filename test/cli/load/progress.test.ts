import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { sharedNow } from '../../../src/cli/load/clock.ts'
import { Figures } from '../../../src/cli/load/figures.ts'
import { showProgress } from '../../../src/cli/load/progress.ts'
import { Tally } from '../../../src/cli/load/tally.ts'
import { fakeTerminal } from '../../support/fake-terminal.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
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
  const terminal = fakeTerminal({ isInteractive, columns })
  const stopProgress = showProgress(figuresOfRun(), 10_000, terminal, sharedNow())
  vi.advanceTimersByTime(10_000)
  stopProgress()
  stopProgress()
  return terminal.errors
}

test('the progress on a terminal is one line, which is replaced and finally removed', () => {
  const lines = outputOf(true, 200).split('\r')
  expect(lines).toHaveLength(22)
  expect(lines[1]?.replace('\x1b[2K', '')).toMatch(
    /^0 s {3}9 999 of 10 000 open {3}.* events\/s {3}delay p50 3\.00 ms, p99 3\.00 ms {3}lost 1 234 {3}errors 0/,
  )
  expect(lines.at(-1)).toBe('\x1b[2K')
})

test('the progress is never wider than the terminal', () => {
  const lines = outputOf(true, 20).split('\r').slice(1)
  expect(lines.map((line) => line.replace('\x1b[2K', '').length).filter((length) => length > 19)).toEqual([])
})

test('the progress is a line every five seconds without a terminal', () => {
  const text = outputOf(false)
  expect(text.match(/\n/g)).toHaveLength(2)
  expect(text).not.toContain('\x1b')
})
