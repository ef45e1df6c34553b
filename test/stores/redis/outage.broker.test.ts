import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { RedisClient } from '../../../src/stores/redis/connection.ts'
import { redisCounts } from '../../../src/stores/redis/index.ts'
import { freePort } from '../../../support/broker.js'
import { startRedis } from '../../support/brokers.ts'
import { startProxy } from '../../support/proxy.ts'
import {
  admin,
  adminOf,
  broker,
  CLIENTS,
  connectionsWith,
  key,
  lossTimesOf,
  nodeRedis,
  numbers,
  onlyAdminIsConnected,
  openHub,
  openPubSub,
  publish,
  reconnect,
  seen,
  statesOf,
  subscribeClient,
} from '../../support/redis-hub.ts'
import { FAST_SYNC, inSync } from '../../support/redis-replica.ts'
import { HOUR, openRuns } from '../../support/redis-runs.ts'
import { failoverContract } from './failover-contract.ts'

const REQUESTS: Array<[name: string, send: (client: RedisClient) => unknown]> = [
  [
    'a publish to redisStore',
    (client) => openHub({ publishTimeout: 500 }, client).channel('a').publish({ data: 1 }),
  ],
  [
    'a publish to redisPubSubStore',
    (client) => openPubSub(client, { publishTimeout: 500 }).channel('a').publish({ data: 1 }),
  ],
  ['the start of a run', (client) => openRuns(client, { commandTimeout: 500 }).start('run', 'me', HOUR)],
  [
    'a count',
    (client) => {
      const counts = redisCounts(client, { key, commandTimeout: 500 })
      onTestFinished(() => counts.close())
      return counts.acquire('user', 1)
    },
  ],
]

describe.each(CLIENTS)('a store with a client of %s', (_name, client) => {
  it.each(REQUESTS)('rejects %s with the error of its connection as the cause', async (_request, send) => {
    const unreachable = client(await freePort())
    await expect(send(unreachable)).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      cause: { code: 'ECONNREFUSED' },
    })
  })

  it('waits for a Redis that is loading', async () => {
    // A second: 5 ms for each key.
    const own = await startRedis('--key-load-delay', '5000')
    const filler = adminOf(own.port)
    await Promise.all(numbers(0, 200).map((n) => filler.set(n, n)))
    await own.stop()
    await own.start()
    const hub = openHub({ publishTimeout: 30_000 }, client(own.port))
    expect(await hub.channel('a').publish({ data: 1 })).toMatch(/-/)
  })

  it('waits for a Redis that is at maxclients', async () => {
    const own = await startRedis('--maxclients', '1')
    const first = adminOf(own.port)
    await first.ping()
    const hub = openHub({ publishTimeout: 200 }, client(own.port))
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await first.config('SET', 'maxclients', 100)
    await expect.poll(() => hub.state).toBe('ready')
  })

  it('waits for a replica to become the primary', async () => {
    const own = await startRedis()
    const other = adminOf(own.port)
    await other.replicaof('127.0.0.1', 1)
    const hub = openHub({ publishTimeout: 200 }, client(own.port))
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await other.replicaof('NO', 'ONE')
    await expect.poll(() => hub.state).toBe('ready')
  })
})

describe.each(CLIENTS)('the live reads of a store with a client of %s', (_name, client) => {
  it('are retried after growing delays while an ACL rejects them, and then deliver what was missed', async () => {
    const user = `limited-${key}`
    const rules = [user, 'reset', 'on', '>secret', `~${key}`, '&*', '+@all']
    await admin.call('ACL', 'SETUSER', ...rules)
    onTestFinished(async () => void (await admin.call('ACL', 'DELUSER', user)))
    const hub = openHub({}, client(broker.port, { username: user, password: 'secret' }))
    const reader = await subscribeClient(hub)
    const losses = lossTimesOf(hub)

    await admin.call('ACL', 'SETUSER', user, '-xread')
    await publish(openHub(), 0, 2)
    await expect.poll(() => losses.length, { timeout: 10_000 }).toBeGreaterThan(4)
    await admin.call('ACL', 'SETUSER', user, '+xread')

    // The delays are 50, 100, 200 and 400 ms.
    expect((losses[4] as number) - (losses[0] as number)).toBeGreaterThan(740)
    expect(await seen(reader, 2)).toEqual(['0', '1'])
  })
})

describe.each(CLIENTS)('a publisher with a client of %s', (_name, client) => {
  it('keeps its order while Redis rejects writes, with and without idempotency keys', async () => {
    const own = await startRedis()
    const other = adminOf(own.port)
    const hub = openHub({}, client(own.port))
    await publish(hub, 0, 1)
    await other.replicaof('127.0.0.1', 1)
    const published: Promise<string>[] = []
    for (let n = 0; n < 20; n++) {
      published.push(hub.channel('a').publish({ data: n }, n % 2 ? { idempotencyKey: String(n) } : {}))
      await new Promise((resolve) => setTimeout(resolve, n % 3))
    }
    await other.replicaof('NO', 'ONE')
    const ids = await Promise.all(published)
    expect(ids).toEqual([...ids].sort(byPosition))
  })
})

describe.each(CLIENTS)('a connection with a client of %s', (_name, client) => {
  it('is closed if the hub is shut down while it connects', async () => {
    await onlyAdminIsConnected()
    for (const turns of [0, 1, 2, 4, 8, 16]) {
      const hub = openHub({}, client())
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
      await hub.shutdown({ grace: 0 })
    }
    // Connections in progress still open.
    await new Promise((resolve) => setTimeout(resolve, 100))
    await onlyAdminIsConnected()
  })

  it('is closed if the hub is shut down before the server responds', async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => {
      sockets.add(socket)
      socket.resume().on('close', () => sockets.delete(socket))
    }).listen(0, '127.0.0.1')
    onTestFinished(() => {
      silent.close()
      for (const socket of sockets) socket.destroy()
    })
    await once(silent, 'listening')
    const hub = openHub({}, client((silent.address() as AddressInfo).port))
    await expect.poll(() => sockets.size).toBe(2)
    await hub.shutdown({ grace: 0 })
    await expect.poll(() => sockets.size).toBe(0)
  })

  it('is replaced if it is half-open', async () => {
    const proxy = await startProxy(broker.port)
    const hub = openHub({ publishTimeout: 1_000 }, client(proxy.port))
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 1)
    proxy.silence()
    await publish(openHub(), 1, 2)
    await expect(hub.channel('b').publish({ data: 0 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    expect(await seen(reader, 2)).toEqual(['0', '1'])
  })

  it('is replaced once if many commands time out', async () => {
    const proxy = await startProxy(broker.port)
    const hub = openHub({ publishTimeout: 1_000 }, client(proxy.port))
    await publish(hub, 0, 1)
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => void warnings.push(message)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    proxy.silence()
    await Promise.allSettled(numbers(0, 20).map((n) => hub.channel('a').publish({ data: n })))
    await publish(hub, 20, 21)
    expect(warnings).toEqual([])
  })

  it('leaves no timer that keeps the process running if Redis does not respond to its end', async () => {
    const own = await startRedis()
    const hub = openHub({}, client(own.port))
    await publish(hub, 0, 1)
    process.kill(own.pid as number, 'SIGSTOP')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    await hub.shutdown({ grace: 0 })
    vi.advanceTimersByTime(100)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('reconnects without a gap if it was the writer', async () => {
    const hub = openHub({}, client())
    const states = statesOf(hub)
    const reader = await subscribeClient(hub)
    await publish(hub, 0, 1)
    await expect.poll(() => connectionsWith(/cmd=xread/)).toHaveLength(1)
    for (const id of await connectionsWith(/cmd=xadd/)) await admin.call('CLIENT', 'KILL', 'ID', id)
    // Well before the blocking read ends, which takes 5 s.
    await expect.poll(() => states, { timeout: 4_000 }).toEqual(['ready', 'reconnecting', 'ready'])
    await publish(hub, 1, 2)
    expect(await seen(reader, 2)).toEqual(['0', '1'])
  })
})

describe.each(CLIENTS)(
  'a store with a client of %s at an address that follows the master',
  (_name, client) => {
    failoverContract('in an outage', async () => {
      const [master, replica] = await Promise.all([startServer(), startServer()])
      await replica.admin.replicaof('127.0.0.1', master.broker.port)
      await inSync(replica.admin)
      const proxy = await startProxy(master.broker.port)
      return {
        key,
        master,
        replica,
        client: () => client(proxy.port),
        mute: proxy.mute,
        cut: proxy.cut,
        async promote() {
          await replica.admin.replicaof('NO', 'ONE')
          proxy.leadTo(replica.broker.port)
        },
      }
    })
  },
)

describe('an outage', () => {
  it('keeps a client connected that is replayed from Redis', async () => {
    const own = await startRedis()
    const writer = openHub({}, nodeRedis(own.port))
    const start = await writer.channel('a').publish({ data: 'start' })
    await publish(writer, 0, 20)
    const hub = openHub({ recentEvents: 5, publishTimeout: 100 }, nodeRedis(own.port))
    await subscribeClient(hub)
    await own.stop()
    await expect.poll(() => hub.state).toBe('reconnecting')
    const client = reconnect(hub, start)
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    expect(client.stream?.closeReason).toBeUndefined()
    await own.start()
    expect(await seen(client, 20)).toEqual(numbers(0, 20))
  })

  it('rejects a waiting publish when the hub is shut down', async () => {
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 60_000 }, nodeRedis(own.port))
    await publish(hub, 0, 1)
    await own.stop()
    await expect.poll(() => hub.state).toBe('reconnecting')
    // With a key, it is sent again if it is in flight.
    const failed = expect(hub.channel('a').publish({ data: 1 }, { idempotencyKey: 'once' })).rejects
    await hub.shutdown({ grace: 0 })
    await failed.toMatchObject({ code: 'ERR_SSE_STORE' })
  })
})

async function startServer() {
  const own = await startRedis(...FAST_SYNC)
  return { broker: own, admin: adminOf(own.port) }
}

function byPosition(a: string, b: string): number {
  const [[aTime = 0, aNumber = 0], [bTime = 0, bNumber = 0]] = [a, b].map((id) =>
    id.split('-').map(Number),
  ) as [number[], number[]]
  return aTime - bTime || aNumber - bNumber
}
