import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisClient, redisRuns } from '../../../../src/stores/redis/index.ts'
import { sharedClient } from '../../../support/redis-client.ts'
import { type RedisCluster, type Shard, startRedisCluster } from '../../../support/redis-cluster.ts'
import { numbers } from '../../../support/redis-hub.ts'
import { batch, collect, HOUR, startRun } from '../../../support/redis-runs.ts'
import { runStoreContract } from '../../run-store-contract.ts'

const roots = () => cluster.servers.map(({ broker: { port } }) => ({ host: '127.0.0.1', port }))
const CLIENTS: Array<[name: string, open: () => RedisClient]> = [
  ['redis', () => createCluster({ rootNodes: roots().map((socket) => ({ socket })) }).on('error', () => {})],
  ['ioredis', () => new Cluster(roots(), { lazyConnect: true }).on('error', () => {})],
]

let cluster: RedisCluster
let keys = 0

beforeAll(async () => {
  cluster = await startRedisCluster(2)
  return () => cluster.end()
})

describe.each(CLIENTS)('with a cluster client of %s', (name, open) => {
  const shared = sharedClient(open)
  runStoreContract(`redisRuns, cluster of ${name}`, () => () => redisRuns(shared()))

  it('a run has each batch once, in order, while its slot is migrated', async () => {
    const [from, to] = cluster.shards as readonly Shard[] as [Shard, Shard]
    const key = await cluster.keyIn(from, `migrated-${++keys}`)
    const openRuns = () => {
      const store = redisRuns(open(), { key, commandTimeout: 20_000 })
      onTestFinished(() => store.close())
      return store
    }
    const [store, other] = [openRuns(), openRuns()]
    const runs = await Promise.all(['a', 'b', 'c'].map((id) => startRun(store, id)))
    const collected = await Promise.all(runs.map(({ id, epoch }) => collect(other, id, epoch)))
    let last = 0
    const appendAll = () => {
      last += 1
      return Promise.all(runs.map(({ append }) => append(batch(last, String(last)))))
    }
    store.serve({ name: 'me', onStop: () => {} }, 60_000)
    await store.renew()
    await appendAll()

    for (const { master } of [from, to]) await master.admin.config('RESETSTAT')
    const there = await cluster.migrateSlot(key, from.master, to.master)
    const stored = appendAll()
    // Neither server may take the absence of a key for the end of a run.
    const started = openRuns().start('a', 'you', HOUR)
    const alive = other.isAlive('me')
    // The connection of the new store leads to the server without the keys.
    for (const { master } of [from, to])
      await expect.poll(() => master.admin.info('errorstats')).toContain('errorstat_TRYAGAIN')
    await there.moveKeys()
    await there.finish()
    expect(await stored).toEqual([true, true, true])
    expect(await started).toMatchObject({ isNew: false, owner: 'me' })
    expect(await alive).toBe(true)

    const back = await cluster.migrateSlot(key, to.master, from.master)
    const again = appendAll()
    await back.moveKeys()
    await back.finish()
    expect(await again).toEqual([true, true, true])
    for (const run of runs) expect(await run.texts()).toEqual(numbers(1, 4))
    await expect.poll(() => collected.map(({ texts }) => texts.join())).toEqual(['1,2,3', '1,2,3', '1,2,3'])
  })
})
