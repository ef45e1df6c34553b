import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guardOf } from '../../../src/stores/redis/guard.ts'
import { redisPubSubStore, redisStore } from '../../../src/stores/redis/index.ts'

const parts = (...names: string[]) =>
  fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 6 }).map((each) => each.join(''))
const key = parts('a', '{', '}', ':', '1', ':idempotency:', ':idempotent:', '\n')
// A channel name has no line end.
const channel = parts('a', '{', '}', ':', '1', ':idempotency:', ':idempotent:')
const publication = fc.tuple(key, channel, key)

describe('the guard of an idempotency key', () => {
  it('differs between the streams orders and {orders}', () => {
    expect(guardOf('orders', 'a', 'once')).not.toBe(guardOf('{orders}', 'a', 'once'))
    expect(guardOf('orders', '8:{orders}:a', 'once')).not.toBe(guardOf('{orders}', 'a', 'once'))
    expect(guardOf('a{orders}', 'a', 'once')).not.toBe(guardOf('{orders}a', 'a', 'once'))
  })

  it('differs for every other stream, channel and key', () => {
    fc.assert(
      fc.property(publication, publication, (one, other) => {
        fc.pre(one.join('\0') !== other.join('\0'))
        expect(guardOf(...one)).not.toBe(guardOf(...other))
      }),
      { numRuns: 5_000 },
    )
  })

  it('is compared by slots as Redis computes them', () => {
    expect([slotOf('foo'), slotOf('{foo}bar'), slotOf('{}foo')]).toEqual([12_182, 12_182, 9_500])
  })

  it.each(['orders', '{orders}', 'shop:{orders}:1', '{a}{b}', 'a{b', '{a{b}', 'a{', 'ä', '{ä}', '{a}}'])(
    'is in the slot of the stream %s in a cluster',
    (key) => {
      for (const channel of ['a', '{b}', '}', '{}']) {
        expect(slotOf(guardOf(key, channel, '{once}'))).toBe(slotOf(key))
      }
    },
  )
})

/** Returns the slot of a key as the specification of Redis Cluster defines it, for example 12182 for `foo`. */
function slotOf(key: string): number {
  const [, tag] = /^[^{]*\{([^}]+)\}/.exec(key) ?? []
  let crc = 0
  for (const byte of Buffer.from(tag ?? key)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : crc << 1
  }
  return crc % 16_384
}

describe('the names that Redis stores encode as UTF-8', () => {
  it('are refused if they contain half of a surrogate pair, because two of them would be one', () => {
    const client = { call() {}, duplicate() {} } as never
    const half = '🦆'.slice(1)
    for (const open of [
      () => redisStore(client, { key: half }),
      () => redisPubSubStore(client, { redisChannel: half }),
    ])
      expect(open).toThrow('must be a string without halves of surrogate pairs')
    expect(() => redisStore(client, { key: '' })).toThrow('must be a non-empty string')
  })
})
