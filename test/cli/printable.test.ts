import { expect, test } from 'vitest'
import { printable, quote } from '../../src/cli/printable.ts'

test.each([
  ['\x1b[2J\x07', '\\u001b[2J\\u0007'],
  ['\x9b31m\x7f', '\\u009b31m\\u007f'],
  ['a\r\nb\tc', 'a\\r\\nb\\tc'],
  ['\u202egnp.exe\u2066\u200b\ufeff', '\\u202egnp.exe\\u2066\\u200b\\ufeff'],
  ['\u2028\ud800', '\\u2028\\ud800'],
  ['Prix 5 €, 日本, 🎉', 'Prix 5 €, 日本, 🎉'],
])('printable escapes what a terminal would execute in %j', (text, escaped) => {
  expect(printable(text)).toBe(escaped)
})

test('printable shortens a long text', () => {
  expect(printable('\0'.repeat(1_000_000), 12)).toBe('\\u0000\\u0000…')
})

test('printable escapes a soft hyphen, which is invisible', () => {
  expect(printable('a\u00adb')).toBe('a\\u00adb')
})

test('quote shortens a long text to an excerpt', () => {
  expect(quote('x'.repeat(16_000))).toBe(`"${'x'.repeat(60)}…"`)
})
