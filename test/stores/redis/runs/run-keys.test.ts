import { expect, it } from 'vitest'
import { RunKeys } from '../../../../src/stores/redis/runs/run-keys.ts'

it.each([
  ['', 'runs', '{runs}'],
  ['app:', 'runs', 'app:{runs}'],
  ['', 'my{runs}:1', 'my{runs}:1'],
  ['{app}:', 'runs', '{app}:{runs}'],
])('with the prefix %j, the key %j begins all keys with %j', (prefix, key, base) => {
  const keys = new RunKeys(prefix, key)
  expect([keys.base, keys.run('}{a'), keys.owner('b')]).toEqual([base, `${base}:run:}{a`, `${base}:owner:b`])
})

it.each(['{', '}', 'a{b', 'a}b', '{}', '{}{a}', 'a}{'])('the key %j is refused', (key) => {
  const error = { code: 'ERR_SSE_OPTION', message: expect.stringContaining('hash tag') }
  expect(() => new RunKeys('', key)).toThrow(expect.objectContaining(error))
})
