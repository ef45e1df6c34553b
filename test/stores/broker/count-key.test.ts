import { expect, test } from 'vitest'
import { countKeyOf } from '../../../src/stores/broker/count-key.ts'

test.each(['user-7', '127.0.0.1', 'a', 'x'.repeat(60)])('%j is a name itself', (key) => {
  expect(countKeyOf(key)).toBe(key)
})

test.each(['', ' ', '::1', 'a:b', 'é', '{a}', '\n', '\0', 'x'.repeat(61), 'x'.repeat(100_000), '\ud800'])(
  'the name of a text such as %j is a hash of 64 characters',
  (key) => {
    expect(countKeyOf(key)).toMatch(/^[0-9a-f]{64}$/)
  },
)

test('halves of surrogate pairs have names of their own', () => {
  expect(countKeyOf('\ud800')).not.toBe(countKeyOf('\ud801'))
})

test('a key that is the hash of another one has a name of its own', () => {
  expect(countKeyOf(countKeyOf('::1'))).not.toBe(countKeyOf('::1'))
})
