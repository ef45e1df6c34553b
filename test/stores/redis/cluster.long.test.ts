import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Hub } from '../../../src/hub/hub.ts'
import { type RedisClient, redisPubSubStore, redisStore } from '../../../src/stores/redis/index.ts'
import { startRedis } from '../../support/brokers.ts'
import { startProxy } from '../../support/proxy.ts'
import { sharedClient } from '../../support/redis-client.ts'
import { type RedisCluster, type Shard, startRedisCluster } from '../../support/redis-cluster.ts'
import {
  numbers,
  openHub as openHubOn,
  replayFromRedis,
  seen,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { settled } from '../../support/redis-replica.ts'
import { hubOfSample } from '../../support/redis-sample.ts'
import { logContract } from '../contract.ts'
import { failoverContract, KILLS } from './failover-contract.ts'

interface Address {
  host: string
  port: number
}

/** The addresses at which a client reaches the servers, by those that the cluster uses. */
type AddressMap = Record<string, Address>

interface Settings {
  readonly map?: AddressMap
  readonly keyPrefix?: string
  readonly roots?: Address[]
  readonly username?: string
  readonly password?: string
}

const CLIENTS: Array<[name: string, open: (settings?: Settings) => RedisClient]> = [
  [
    'redis',
    ({ map = {}, keyPrefix = '', roots = rootsOf(map), ...defaults } = {}) => {
      const rootNodes = roots.map((socket) => ({ socket }))
      return createCluster({ rootNodes, nodeAddressMap: map, keyPrefix, defaults }).on('error', () => {})
    },
  ],
  [
    'ioredis',
    ({ map = {}, keyPrefix = '', roots = rootsOf(map), ...redisOptions } = {}) => {
      const options = { natMap: map, keyPrefix, redisOptions, lazyConnect: true }
      return new Cluster(roots, options).on('error', () => {})
    },
  ],
]

let cluster: RedisCluster
// A shard whose master was killed is not used again.
let shards: Shard[]
let keys = 0

beforeAll(async () => {
  cluster = await startRedisCluster(CLIENTS.length * KILLS)
  shards = [...cluster.shards]
  return () => cluster.end()
})

describe.each(CLIENTS)('with a cluster client of %s', (name, open) => {
  const shared = sharedClient(open)
  logContract(`Redis Streams, cluster of ${name}`, () => redisStore(shared(), { key: `log-${++keys}` }), {
    sharesPositions: true,
    openAnother: () => redisStore(shared(), { key: `log-${keys}` }),
  })

  it('redisPubSubStore throws an error that names the cluster', () => {
    const error = { code: 'ERR_SSE_OPTION', message: expect.stringContaining('cannot use a cluster') }
    expect(() => redisPubSubStore(open())).toThrow(expect.objectContaining(error))
  })

  it('the sample of docs/redis.md publishes an event', async () => {
    const [{ port }] = rootsOf({}) as [Address]
    const hub = hubOfSample(name === 'redis' ? 'createCluster(' : 'new Cluster(', port)
    expect(await hub.channel('a').publish({ data: 0 })).toMatch(/-/)
  })

  it('a hub puts its keys into one slot, with the prefix of the client', async () => {
    const [shard] = shards as [Shard]
    const key = await cluster.keyIn(shard, `app:prefixed-${++keys}`)
    const hub = openHub(open({ keyPrefix: 'app:' }), key.slice('app:'.length))
    const publish = () => hub.channel('a').publish({ data: 0 }, { idempotencyKey: 'k' })
    expect(await publish()).toBe(await publish())
    const stored = await shard.master.admin.keys(`*${key}*`)
    expect(stored).toContain(key)
    expect(stored).toHaveLength(2)
  })

  it('a publish is executed once, in order, while its slot is migrated', async () => {
    const [from, to] = shards as [Shard, Shard]
    const key = await cluster.keyIn(from, `migrated-${++keys}`)
    const hub = openHub(open(), key)
    const reader = await subscribeClient(hub)
    let count = 0
    const publish = (options?: { idempotencyKey: string }) =>
      hub.channel('a').publish({ data: count++ }, options)
    const publishPlain = () => Array.from({ length: 20 }, () => publish())
    const publishBoth = () =>
      Array.from({ length: 30 }, (_, i) => publish(i % 3 ? undefined : { idempotencyKey: String(count) }))

    const published = publishBoth()
    await Promise.all(published)
    const there = await cluster.migrateSlot(key, from.master, to.master)
    published.push(...publishPlain())
    await Promise.all(published)
    await there.moveKeys()
    // Executed by the server that imports the slot.
    published.push(...publishPlain())
    await Promise.all(published)
    // Until the end of the migration, Redis rejects those with a new idempotency key.
    published.push(...publishBoth())
    await there.finish()
    await Promise.all(published)
    const back = await cluster.migrateSlot(key, to.master, from.master)
    published.push(...publishBoth())
    await expect.poll(() => to.master.admin.info('errorstats')).toContain('errorstat_TRYAGAIN')
    await back.moveKeys()
    await back.finish()
    published.push(...publishBoth())
    const ids = await Promise.all(published)

    expect(new Set(ids).size).toBe(count)
    expect(await seen(reader, count)).toEqual(numbers(0, count))
    // With the no-op record.
    expect(await from.master.admin.xlen(key)).toBe(count + 1)
    await expect.poll(() => hub.state).toBe('ready')
  })

  it('a hub closes all its connections at shutdown', async () => {
    // The connections of earlier tests.
    const before = await settled(cluster.connections)
    const hub = openHubOn({ key: `key-${++keys}`, recentEvents: 2 }, open())
    await subscribeClient(hub)
    expect(await cluster.connections()).toBe(before + 2)
    await replayFromRedis(hub)
    expect(await cluster.connections()).toBe(before + 3)
    await hub.shutdown({ grace: 0 })
    await expect.poll(cluster.connections).toBe(before)
  })

  it('a hub rejects its first publish if the server is not one of a cluster', async () => {
    const { port } = await startRedis()
    const hub = openHub(open({ roots: [{ host: '127.0.0.1', port }] }), 'key')
    await expect(hub.channel('a').publish({ data: 0 })).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('cluster support disabled'),
    })
  })

  it('a hub rejects its first publish if the credentials are wrong', async () => {
    const hub = openHub(open({ username: 'user', password: 'wrong' }), 'key')
    await expect(hub.channel('a').publish({ data: 0 })).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('WRONGPASS'),
    })
  })
})

describe.each(CLIENTS)('with a cluster client of %s, a store', (_name, open) => {
  failoverContract('in an outage', async ({ isKilled }) => {
    const shard = shards.at(-1) as Shard
    if (isKilled) shards.pop()
    const { map, proxies } = await startProxies()
    return {
      ...shard,
      key: await cluster.keyIn(shard, `failover-${++keys}`),
      client: () => open({ map }),
      mute() {
        for (const proxy of proxies) proxy.mute()
      },
      cut() {
        for (const proxy of proxies) proxy.cut()
      },
      promote: async () => void (await shard.replica.admin.call('CLUSTER', 'FAILOVER', 'TAKEOVER')),
    }
  })
})

function rootsOf(map: AddressMap): Address[] {
  return cluster.servers.map(
    ({ broker: { port } }) => map[`127.0.0.1:${port}`] ?? { host: '127.0.0.1', port },
  )
}

function openHub(client: RedisClient, key: string): Hub {
  return openHubOn({ key }, client)
}

/** Starts a proxy for each server. */
async function startProxies() {
  const ports = cluster.servers.map(({ broker }) => broker.port)
  const proxies = await Promise.all(ports.map(startProxy))
  const entries = proxies.map(({ port }, i) => [`127.0.0.1:${ports[i]}`, { host: '127.0.0.1', port }])
  return { map: Object.fromEntries(entries) as AddressMap, proxies }
}
