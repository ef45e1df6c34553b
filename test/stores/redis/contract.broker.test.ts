import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { beforeAll, describe } from 'vitest'
import { type RedisClient, redisPubSubStore, redisStore } from '../../../src/stores/redis/index.ts'
import { type Broker, startRedis } from '../../support/brokers.ts'
import { logContract } from '../contract.ts'

let broker: Broker
let keys = 0

beforeAll(async () => {
  broker = await startRedis()
  return () => broker.end()
})

const CLIENTS: Array<[name: string, open: () => RedisClient]> = [
  ['redis', () => createClient({ url: `redis://127.0.0.1:${broker.port}` })],
  ['ioredis', () => new Redis({ port: broker.port, lazyConnect: true })],
]

describe.each(CLIENTS)('with a client of %s', (name, open) => {
  logContract(`Redis Streams, ${name}`, () => redisStore(open(), { key: `log-${++keys}` }), {
    sharesPositions: true,
    openAnother: () => redisStore(open(), { key: `log-${keys}` }),
  })

  logContract(`Redis Pub/Sub, ${name}`, () => redisPubSubStore(open(), { redisChannel: `log-${++keys}` }), {
    sharesPositions: false,
    openAnother: () => redisPubSubStore(open(), { redisChannel: `log-${keys}` }),
  })
})
