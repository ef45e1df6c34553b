import { expect, test } from 'vitest'
import { quote, shown } from '../../../../src/cli/doctor/checks/shown.ts'

test('shows characters that a terminal would obey or hide as escapes', () => {
  expect(shown('a\u001b[31m\u009b2J\r\n\0\u202e\u200b\uFEFF\u2028é')).toBe(
    String.raw`a\u001b[31m\u009b2J\u000d\u000a\u0000\u202e\u200b\ufeff\u2028é`,
  )
})

test('shortens a long text', () => {
  expect(quote('x'.repeat(16_000))).toBe(`"${'x'.repeat(60)}…"`)
})
