import { expect, test } from 'vitest'
import { jsonText } from '../../src/cli/json-text.ts'

test('JSON has no control character of a server, and reads as what the server has sent', () => {
  const value = { message: 'a\x1b[2J\x9b31m\x7f\u202e\u2028\ufeff"\\ é 日本 🎉' }
  const text = jsonText(value)
  expect(text.replace(/[\n 日本é🎉]/gu, '')).toMatch(/^[\x21-\x7e]+$/)
  expect(JSON.parse(text)).toEqual(value)
})
