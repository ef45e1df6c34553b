import { Redis } from 'ioredis'
import { createClient, RESP_TYPES } from 'redis'
import { describe } from 'vitest'
import { type RedisClient, redisCounts } from '../../../../src/stores/redis/index.ts'
import { startProxy } from '../../../support/proxy.ts'
import { broker, CLIENTS } from '../../../support/redis-hub.ts'
import { countsContract } from '../../counts-contract.ts'

// Every type that a client can map.
const MAPPING = {
  [RESP_TYPES.SIMPLE_STRING]: Buffer,
  [RESP_TYPES.BLOB_STRING]: Buffer,
  [RESP_TYPES.NUMBER]: String,
  [RESP_TYPES.MAP]: Map,
}

const MAPPED: Array<[name: string, open: (port: number) => RedisClient]> = [
  [
    'redis with Buffers and maps',
    (port) => createClient({ url: `redis://127.0.0.1:${port}`, RESP: 3 }).withTypeMapping(MAPPING),
  ],
  ['ioredis with RESP2', (port) => new Redis({ port, lazyConnect: true, protocol: 2 })],
]

describe.each([...CLIENTS, ...MAPPED])('with a client of %s', (name, client) => {
  countsContract(`redisCounts, ${name}`, async () => async (lease) => {
    const proxy = await startProxy(broker.port)
    return {
      counts: redisCounts(client(proxy.port), { lease, commandTimeout: 20_000 }),
      die: () => proxy.silence(),
    }
  })
})
