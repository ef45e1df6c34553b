import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { beforeAll, describe } from 'vitest'
import { type RedisClient, redisCounts } from '../../../../src/stores/redis/index.ts'
import { sharedClient } from '../../../support/redis-client.ts'
import { type RedisCluster, startRedisCluster } from '../../../support/redis-cluster.ts'
import { countsContract } from '../../counts-contract.ts'

const roots = () => cluster.servers.map(({ broker: { port } }) => ({ host: '127.0.0.1', port }))
const CLIENTS: Array<[name: string, open: () => RedisClient]> = [
  ['redis', () => createCluster({ rootNodes: roots().map((socket) => ({ socket })) }).on('error', () => {})],
  ['ioredis', () => new Cluster(roots(), { lazyConnect: true }).on('error', () => {})],
]

let cluster: RedisCluster

beforeAll(async () => {
  cluster = await startRedisCluster(2)
  return () => cluster.end()
})

describe.each(CLIENTS)('with a cluster client of %s', (name, open) => {
  const shared = sharedClient(open)
  countsContract(`redisCounts, cluster of ${name}`, async () => async (lease) => {
    const counts = redisCounts(shared(), { lease, commandTimeout: 20_000 })
    // A frozen process is tested on a single server.
    return { counts, die: () => counts.close() }
  })
})
