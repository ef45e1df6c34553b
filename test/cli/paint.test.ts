import { expect, test } from 'vitest'
import { paintFor } from '../../src/cli/paint.ts'

test('paintFor colours a text only if the terminal has colours', () => {
  expect(paintFor({ hasColor: true }).red('a')).toBe('\x1b[31ma\x1b[39m')
  expect(paintFor({ hasColor: false }).red('a')).toBe('a')
})
