import { afterEach, expect, test } from 'vitest'
import { processTerminal } from '../../src/cli/terminal.ts'

const { columns } = process.stderr

afterEach(() => {
  Object.assign(process.stderr, { columns })
})

test('processTerminal has 80 columns if the terminal reports a width of 0', () => {
  Object.assign(process.stderr, { columns: 0 })
  expect(processTerminal([], new AbortController().signal).columns).toBe(80)
})
