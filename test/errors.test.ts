import { expect, test } from 'vitest'
import { checkOptions } from '../src/check-options.ts'
import { describe } from '../src/errors.ts'
import { Hub } from '../src/hub/hub.ts'
import { PublishPromise } from '../src/hub/publish-promise.ts'
import { StreamLimits } from '../src/lifecycle/stream-limits.ts'
import { Runs } from '../src/runs/runs.ts'
import { jetstreamCounts, jetstreamRuns, jetstreamStore } from '../src/stores/nats/index.ts'
import { redisStore } from '../src/stores/redis/index.ts'

class Session {}
class Account {}
class E {}
class ClassWithANameThatIsTooLongToBePrinted {}
// biome-ignore lint/complexity/noStaticOnlyClass: its name is text of a client.
class Untrusted {
  static readonly name = 'x.\nSet-Cookie: a=1'
}

test.each<[expected: string, value: unknown]>([
  ['undefined', undefined],
  ['null', null],
  ['"text"', 'text'],
  ['7', 7],
  ['12n', 12n],
  ['NaN', Number.NaN],
  ['Symbol(a)', Symbol('a')],
  ['an array', []],
  ['a function', () => {}],
  ['an object', {}],
  ['an object', Object.create(null)],
  // The text of a client may be any JSON.
  ['an object', JSON.parse('{"constructor":{"name":"Map"},"__proto__":{"constructor":{"name":"Map"}}}')],
  ['a promise', Promise.resolve()],
  [
    'a promise',
    new PublishPromise(
      () => {},
      () => {},
    ),
  ],
  // biome-ignore lint/suspicious/noThenProperty: a thenable, as query builders return it.
  ['a promise', { then: () => {} }],
  ['a Map', new Map()],
  ['a Uint8Array', new Uint8Array()],
  ['an Error', new Error('x')],
  ['a URL', new URL('http://a')],
  // A URL that is passed in place of a client may contain a password.
  ['a URL', 'nats://ada:secret@localhost'],
  ['a URL', 'rediss://:secret@localhost'],
  ['"a text about http://a"', 'a text about http://a'],
  ['a Date', new Date(0)],
  ['an invalid Date', new Date('x')],
  ['a Session', new Session()],
  ['an Account', new Account()],
  ['an object', new E()],
  ['an object', new ClassWithANameThatIsTooLongToBePrinted()],
  ['an object', new Untrusted()],
  [
    'an object',
    new Proxy(
      {},
      {
        getPrototypeOf() {
          throw new Error('trap')
        },
      },
    ),
  ],
  [
    'an object',
    {
      // biome-ignore lint/suspicious/noThenProperty: a hostile getter.
      get then() {
        throw new Error('getter')
      },
    },
  ],
])('an error message says %s', (expected, value) => {
  expect(describe(value)).toBe(expected)
})

test('an error about options names a promise', () => {
  expect(() => checkOptions(Promise.resolve({}), {})).toThrow(
    'Options must be a plain object, not a promise.',
  )
})

test.each([
  () => new Hub({ store: 'redis://:secret@localhost' as never }),
  () => new Hub('redis://:secret@localhost' as never),
  () => new Runs({ store: 'redis://:secret@localhost' as never }),
  () => new StreamLimits({ maxStreams: 1, name: 'a', counts: 'redis://:secret@localhost' as never }),
  () => redisStore('redis://:secret@localhost' as never),
  () => jetstreamStore('nats://ada:secret@localhost' as never),
  () => jetstreamRuns('nats://ada:secret@localhost' as never),
  () => jetstreamCounts('nats://ada:secret@localhost' as never),
])('an error about a wrong store or connection does not contain the password of a URL: %s', (create) => {
  expect(create).toThrow(expect.objectContaining({ code: 'ERR_SSE_OPTION' }))
  expect(create).not.toThrow('secret')
})
