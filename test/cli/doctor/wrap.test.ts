import { expect, test } from 'vitest'
import { wrap } from '../../../src/cli/doctor/wrap.ts'

test('wrap breaks lines between words, and keeps a long word', () => {
  expect(wrap('one two three extraordinarily four', '  ', 10)).toBe(
    '  one two\n  three\n  extraordinarily\n  four\n',
  )
  expect(wrap('', '  ', 10)).toBe('  \n')
})
