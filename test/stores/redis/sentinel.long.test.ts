import { Redis } from 'ioredis'
import { createSentinel } from 'redis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisClient, redisPubSubStore, redisRuns, redisStore } from '../../../src/stores/redis/index.ts'
import { startProxy } from '../../support/proxy.ts'
import { sharedClient } from '../../support/redis-client.ts'
import {
  numbers,
  openHub,
  openPubSub,
  publish,
  replayFromRedis,
  seen,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { settled } from '../../support/redis-replica.ts'
import { batch, collect, openRuns, startRun } from '../../support/redis-runs.ts'
import { hubOfSample } from '../../support/redis-sample.ts'
import { MASTER_NAME, startRedisSentinel } from '../../support/redis-sentinel.ts'
import { logContract } from '../contract.ts'
import { runStoreContract } from '../run-store-contract.ts'
import { failoverContract } from './failover-contract.ts'

interface Address {
  host: string
  port: number
}

interface Settings {
  /** The addresses at which a client reaches the servers, by those that the sentinel names. */
  readonly map?: Record<string, Address>
  readonly keyPrefix?: string
  readonly username?: string
  readonly password?: string
}

const CLIENTS: Array<[name: string, open: (port: number, settings?: Settings) => RedisClient]> = [
  [
    'redis',
    (port, { map = {}, keyPrefix = '', ...nodeClientOptions } = {}) =>
      createSentinel({
        name: MASTER_NAME,
        sentinelRootNodes: [{ host: '127.0.0.1', port }],
        nodeAddressMap: map,
        keyPrefix,
        nodeClientOptions,
      }).on('error', () => {}),
  ],
  [
    'ioredis',
    (port, { map = {}, ...options } = {}) => {
      const sentinels = [{ host: '127.0.0.1', port }]
      return new Redis({ name: MASTER_NAME, sentinels, natMap: map, lazyConnect: true, ...options }).on(
        'error',
        () => {},
      )
    },
  ],
]

let deployment: Awaited<ReturnType<typeof startRedisSentinel>>
let keys = 0

beforeAll(async () => {
  deployment = await startRedisSentinel()
  return () => deployment.end()
})

describe.each(CLIENTS)('with a sentinel client of %s', (name, openOn) => {
  const open = (settings?: Settings) => openOn(deployment.sentinel.port, settings)

  const shared = sharedClient(open)
  logContract(`Redis Streams, sentinel of ${name}`, () => redisStore(shared(), { key: `log-${++keys}` }), {
    sharesPositions: true,
    openAnother: () => redisStore(shared(), { key: `log-${keys}` }),
  })

  logContract(
    `Redis Pub/Sub, sentinel of ${name}`,
    () => redisPubSubStore(shared(), { redisChannel: `log-${++keys}` }),
    {
      sharesPositions: false,
      openAnother: () => redisPubSubStore(shared(), { redisChannel: `log-${keys}` }),
    },
  )

  runStoreContract(`redisRuns, sentinel of ${name}`, () => () => redisRuns(shared()))

  it('a hub uses the prefix of the client', async () => {
    const key = `prefixed-${++keys}`
    const hub = openHub({ key }, open({ keyPrefix: 'app:' }))
    await hub.channel('a').publish({ data: 0 }, { idempotencyKey: 'k' })
    const stored = await deployment.adminAt(deployment.master.port).keys(`*${key}*`)
    expect(stored).toContain(`app:${key}`)
    expect(stored).toHaveLength(2)
  })

  it('a hub closes all its connections at shutdown', async () => {
    const before = await settled(deployment.connections)
    const hub = openHub({ key: `key-${++keys}`, recentEvents: 2 }, open())
    await subscribeClient(hub)
    // As docs/redis.md states.
    const own = before + (name === 'redis' ? 4 : 2)
    await expect.poll(deployment.connections).toBe(own)
    await replayFromRedis(hub)
    expect(await deployment.connections()).toBe(own + 1)
    await hub.shutdown({ grace: 0 })
    await expect.poll(deployment.connections).toBe(before)
  })

  it('a hub rejects its first publish if the credentials are wrong', async () => {
    const hub = openHub({ key: 'key' }, open({ username: 'user', password: 'wrong' }))
    await expect(hub.channel('a').publish({ data: 0 })).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('WRONGPASS'),
    })
  })

  it('the sample of docs/redis.md publishes an event', async () => {
    const hub = hubOfSample(name === 'redis' ? 'createSentinel(' : 'sentinels:', deployment.sentinel.port)
    expect(await hub.channel('a').publish({ data: 0 })).toMatch(/-/)
  })

  const start = async () => {
    const { master, replica, sentinel, adminAt, failOver, end } = await startRedisSentinel()
    onTestFinished(end)
    const proxies = await Promise.all([master, replica].map(({ port }) => startProxy(port)))
    const entries = [master, replica].map(({ port }, i) => [
      `127.0.0.1:${port}`,
      { host: '127.0.0.1', port: proxies[i]?.port },
    ])
    return {
      key: `failover-${++keys}`,
      master: { broker: master, admin: adminAt(master.port) },
      replica: { broker: replica, admin: adminAt(replica.port) },
      client: () => openOn(sentinel.port, { map: Object.fromEntries(entries) }),
      mute() {
        for (const proxy of proxies) proxy.mute()
      },
      cut() {
        for (const proxy of proxies) proxy.cut()
      },
      promote: failOver,
    }
  }

  failoverContract('a store in an outage', start)

  it('a run has each batch once, in order, after a failover', async () => {
    const { client, key, master, promote } = await start()
    const [store, other] = [openRuns(client(), { key }), openRuns(client(), { key })]
    const run = await startRun(store)
    const collected = await collect(other, run.id, run.epoch)
    for (let first = 1; first <= 10; first++) await run.append(batch(first, String(first)))
    // Otherwise the new master may lack the last batches.
    await master.admin.set('written', 'last')
    await master.admin.wait(1, 0)
    await master.broker.stop()
    const stored = run.append(batch(11, '11'))
    await promote()
    expect(await stored).toBe(true)
    await expect.poll(() => collected.texts).toEqual(numbers(1, 12))
    expect(await run.texts()).toEqual(numbers(1, 12))
  })

  it('a store of Pub/Sub sends a gap after a failover, and continues', async () => {
    const { client, master, promote } = await start()
    const hub = openPubSub(client())
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 1)
    await master.broker.stop()
    await promote()
    await expect.poll(() => reader.transport.writes.join('')).toContain('event: gap')
    await publish(hub, 1, 2)
    expect(await seen(reader, 3)).toEqual(['0', 'gap', '1'])
  })
})
