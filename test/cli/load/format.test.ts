import { expect, test } from 'vitest'
import { formatMs } from '../../../src/cli/load/format.ts'

test.each([
  [0.4, '0.40 ms'],
  [12.34, '12.3 ms'],
  [999.4, '999 ms'],
  [1240, '1.24 s'],
  [99_940, '99.9 s'],
  [99_960, '100 s'],
  [3_600_000, '3 600 s'],
])('%d ms are %s', (ms, text) => {
  expect(formatMs(ms)).toBe(text)
})
