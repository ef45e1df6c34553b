import { expect, test } from 'vitest'
import { printable } from '../../src/cli/printable.ts'

test.each([
  ['\x1b[2J\x07', '\\x1b[2J\\x07'],
  ['\x9b31m\x7f', '\\x9b31m\\x7f'],
  ['a\r\nb\tc', 'a\\r\\nb\\tc'],
  ['\u202egnp.exe\u2066\u200b\ufeff', '\\u202egnp.exe\\u2066\\u200b\\ufeff'],
  ['\u2028\ud800', '\\u2028\\ud800'],
  ['Prix 5 €, 日本, 🎉', 'Prix 5 €, 日本, 🎉'],
])('printable escapes what a terminal would execute in %j', (text, escaped) => {
  expect(printable(text)).toBe(escaped)
})

test('printable shortens a long text', () => {
  expect(printable('\0'.repeat(1_000_000), 8)).toBe('\\x00\\x00…')
})
