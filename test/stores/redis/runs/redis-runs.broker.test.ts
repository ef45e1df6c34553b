import { Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import { describe } from 'vitest'
import { type RedisClient, redisRuns } from '../../../../src/stores/redis/index.ts'
import { sharedClient } from '../../../support/redis-client.ts'
import { broker, CLIENTS } from '../../../support/redis-hub.ts'
import { runStoreContract } from '../../run-store-contract.ts'

// Every type that a client can map.
const MAPPING = {
  [RESP_TYPES.SIMPLE_STRING]: Buffer,
  [RESP_TYPES.BLOB_STRING]: Buffer,
  [RESP_TYPES.NUMBER]: String,
  [RESP_TYPES.MAP]: Map,
}

const MAPPED: Array<[name: string, open: () => RedisClient]> = [
  [
    'redis with Buffers and maps',
    () => createClient({ url: `redis://127.0.0.1:${broker.port}`, RESP: 3 }).withTypeMapping(MAPPING),
  ],
  ['ioredis with RESP2', () => new Redis({ port: broker.port, lazyConnect: true, protocol: 2 })],
  ['ioredis with maps', () => new Redis({ port: broker.port, lazyConnect: true, replyMapping: 'resp3' })],
]

describe.each([...CLIENTS, ...MAPPED])('with a client of %s', (name, client) => {
  const shared = sharedClient(() => client())
  runStoreContract(`redisRuns, ${name}`, () => () => redisRuns(shared()))
})
