import { expect, test } from 'vitest'
import { formatMs } from '../../src/cli/format.ts'

test.each([
  [0.4, '0.40 ms'],
  [0.4234, '0.42 ms'],
  [12.34, '12.3 ms'],
  [123.4, '123 ms'],
  [999.4, '999 ms'],
  [999.6, '1.00 s'],
  [1240, '1.24 s'],
  [12_340, '12.3 s'],
  [99_940, '99.9 s'],
  [99_960, '100 s'],
  [999_600, '1 000 s'],
  [3_600_000, '3 600 s'],
])('%d ms are shown as %s', (ms, text) => {
  expect(formatMs(ms)).toBe(text)
})
