import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from 'redis'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { type RedisClient, redisPubSubStore, redisRuns, redisStore } from '../../../src/stores/redis/index.ts'
import { redirectionOf } from '../../../src/stores/redis/redirection.ts'

const lazyConnect = true
const sentinels = [{ host: '127.0.0.1', port: 26_379 }]
const single = createClient()
const cluster = createCluster({ rootNodes: [{}] })
const sentinel = createSentinel({ name: 'mymaster', sentinelRootNodes: sentinels })
const ioredis = new Redis({ lazyConnect })
const ioredisCluster = new Cluster(['127.0.0.1:6379'], { lazyConnect })

const ALL: Array<[name: string, client: RedisClient]> = [
  ['createClient', single],
  ['createClient with a type mapping', single.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })],
  ['createCluster', cluster],
  ['createSentinel', sentinel],
  ['Redis', ioredis],
  ['Redis with sentinels', new Redis({ name: 'mymaster', sentinels, lazyConnect })],
  ['Cluster', ioredisCluster],
]

const CLUSTERS = ALL.filter(([name]) => /cluster$/i.test(name))

const rejected = (message: RegExp) =>
  expect.objectContaining({ code: 'ERR_SSE_OPTION', message: expect.stringMatching(message) })

describe('a client', () => {
  it.each(ALL)('is accepted by redisStore: %s', (_name, client) => {
    expect(() => redisStore(client)).not.toThrow()
  })

  it.each(ALL.filter((each) => !CLUSTERS.includes(each)))(
    'is accepted by redisPubSubStore: %s',
    (_name, client) => {
      expect(() => redisPubSubStore(client)).not.toThrow()
    },
  )

  it.each(CLUSTERS)('of a cluster is rejected by redisPubSubStore: %s', (_name, client) => {
    expect(() => redisPubSubStore(client)).toThrow(rejected(/redisPubSubStore cannot use a cluster/))
  })

  const olderCluster = { nodeClient() {}, sendCommand() {}, duplicate() {} }
  const olderSentinel = { getSentinelNode() {}, sendCommand() {} }
  it.each<[name: string, client: unknown, message: RegExp]>([
    ['a pool', createClientPool(), /createClientPool/],
    ['createCluster of version 4', olderCluster, /createCluster of version 4/],
    ['createSentinel of version 5', olderSentinel, /createSentinel of version 5/],
    ['a transaction', single.multi(), /Expected a client/],
    ['a function', createClient, /Expected a client/],
    ['a URL', 'redis://localhost', /Expected a client/],
    ['undefined', undefined, /Expected a client/],
  ])('is rejected by name: %s', (_name, client, message) => {
    expect(() => redisStore(client as RedisClient)).toThrow(rejected(message))
    expect(() => redisPubSubStore(client as RedisClient)).toThrow(rejected(message))
  })

  it.each<[given: string, value: unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['7', 7],
    ['a promise', Promise.resolve(single)],
    // Not its text, because it may contain a password.
    ['a string', 'redis://:secret@localhost'],
  ])('is not %s, which the error names', (given, value) => {
    const message = `Expected a client of the package redis or ioredis, not ${given}.`
    for (const newStore of [redisStore, redisPubSubStore, redisRuns])
      expect(() => newStore(value as never)).toThrow(expect.objectContaining({ message }))
  })

  it('has the type RedisClient if it can be used', () => {
    expectTypeOf<Redis | Cluster>().toExtend<RedisClient>()
    expectTypeOf(single).toExtend<RedisClient>()
    expectTypeOf(cluster).toExtend<RedisClient>()
    expectTypeOf(sentinel).toExtend<RedisClient>()
    expectTypeOf(createClientPool()).not.toExtend<RedisClient>()
    expectTypeOf({}).not.toExtend<RedisClient>()
  })
})

describe('a cluster', () => {
  it.each(['a}', '{}a}', 'a}{', '{}{b}'])('rejects the key %s, which cannot share its slot', (key) => {
    for (const [, client] of CLUSTERS) expect(() => redisStore(client, { key })).toThrow(rejected(/hash tag/))
    expect(() => redisStore(single, { key })).not.toThrow()
  })

  it.each(['a', 'a{b}', '{a}b', '{a', 'a{b', '{a}}'])('accepts the key %s', (key) => {
    for (const [, client] of CLUSTERS) expect(() => redisStore(client, { key })).not.toThrow()
  })

  it('checks the key with the prefix of the client', () => {
    const prefixed = new Cluster(['127.0.0.1:6379'], { lazyConnect, keyPrefix: '{app}' })
    expect(() => redisStore(prefixed, { key: 'a}' })).not.toThrow()
  })
})

describe('the redirection of an error', () => {
  const address = (host: string) => ({ host, port: 6381 })
  it.each([
    ['MOVED 3999 127.0.0.1:6381', { address: address('127.0.0.1'), isAsking: false }],
    ['ASK 3999 127.0.0.1:6381', { address: address('127.0.0.1'), isAsking: true }],
    ['MOVED 3999 redis-0.example:6381', { address: address('redis-0.example'), isAsking: false }],
    ['MOVED 3999 ::1:6381', { address: address('::1'), isAsking: false }],
    ['MOVED 3999 :6381', { isAsking: false }],
    ["READONLY You can't write against a read only replica.", { isAsking: false }],
    ['UNBLOCKED force unblock from blocking operation, instance state changed', { isAsking: false }],
    ['CLUSTERDOWN The cluster is down', { isAsking: false }],
    ['TRYAGAIN Multiple keys request during rehashing of slot', undefined],
    ['The connection to MOVED was lost', undefined],
  ])('%s', (message, redirection) => {
    expect(redirectionOf(new Error(message))).toEqual(redirection)
  })
})

it.each([
  ['redisStore', redisStore],
  ['redisPubSubStore', redisPubSubStore],
])('%s rejects a publishTimeout after which an idempotency key is forgotten', (_name, newStore) => {
  const open = (publishTimeout: number) => () =>
    newStore(single, { publishTimeout, idempotencyWindow: 1_000 })
  expect(open(1_000)).not.toThrow()
  expect(open(1_001)).toThrow(rejected(/publishTimeout must be at most idempotencyWindow,/))
})
