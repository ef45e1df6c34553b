import { Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import { beforeAll, describe } from 'vitest'
import { type RedisClient, redisPubSubStore, redisStore } from '../../../src/stores/redis/index.ts'
import { type Broker, startRedis } from '../../support/brokers.ts'
import { sharedClient } from '../../support/redis-client.ts'
import { logContract } from '../contract.ts'

let broker: Broker
let keys = 0

beforeAll(async () => {
  broker = await startRedis()
  return () => broker.end()
})

const url = () => `redis://127.0.0.1:${broker.port}`

// Every type that a client can map.
const MAPPING = {
  [RESP_TYPES.SIMPLE_STRING]: Buffer,
  [RESP_TYPES.BLOB_STRING]: Buffer,
  [RESP_TYPES.VERBATIM_STRING]: Buffer,
  [RESP_TYPES.NUMBER]: String,
  [RESP_TYPES.MAP]: Map,
}

const CLIENTS: Array<[name: string, open: () => RedisClient]> = [
  ['redis', () => createClient({ url: url() })],
  ['redis with Buffers and maps', () => createClient({ url: url(), RESP: 3 }).withTypeMapping(MAPPING)],
  [
    'redis with Buffers and arrays',
    () =>
      createClient({
        url: url(),
        RESP: 2,
        commandOptions: { typeMapping: { ...MAPPING, [RESP_TYPES.MAP]: Array } },
      }),
  ],
  ['ioredis', () => new Redis({ port: broker.port, lazyConnect: true })],
  ['ioredis with RESP2', () => new Redis({ port: broker.port, lazyConnect: true, protocol: 2 })],
  ['ioredis with maps', () => new Redis({ port: broker.port, lazyConnect: true, replyMapping: 'resp3' })],
]

describe.each(CLIENTS)('with a client of %s', (name, openClient) => {
  const open = sharedClient(openClient)

  logContract(`Redis Streams, ${name}`, () => redisStore(open(), { key: `log-${++keys}` }), {
    sharesPositions: true,
    openAnother: () => redisStore(open(), { key: `log-${keys}` }),
  })

  logContract(`Redis Pub/Sub, ${name}`, () => redisPubSubStore(open(), { redisChannel: `log-${++keys}` }), {
    sharesPositions: false,
    openAnother: () => redisPubSubStore(open(), { redisChannel: `log-${keys}` }),
  })
})
