import { expect, test } from 'vitest'
import { ProgressLine } from '../../src/cli/progress-line.ts'
import { fakeTerminal } from '../support/fake-terminal.ts'

test('a progress line is replaced in place on a terminal, and is shorter than its width', () => {
  const terminal = fakeTerminal({ isInteractive: true, columns: 20 })
  const line = new ProgressLine(terminal)
  line.show(() => 'waiting')
  line.show(() => `waiting\x1b[2J ${'x'.repeat(40)}`)
  line.clear()
  line.clear()
  expect(terminal.errors).toBe('\r\x1b[2Kwaiting\r\x1b[2Kwaiting\\u001b[2J x…\r\x1b[2K')
  expect(terminal.output).toBe('')
})

test('a progress line is printed every five seconds where lines cannot be replaced', () => {
  let now = 0
  const terminal = fakeTerminal()
  const line = new ProgressLine(terminal, () => now)
  for (now of [0, 4999, 5000, 9999, 10_000]) line.show(() => `${now} ms`)
  line.clear()
  expect(terminal.errors).toBe('5000 ms\n10000 ms\n')
})
