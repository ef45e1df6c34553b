import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { Broker, freePort, launchRedis } from '../../support/broker.js'
import { connectionsTo, eventually, FAST_SYNC, inSync } from './redis-replica.ts'

export const MASTER_NAME = 'mymaster'

/** Starts a master, a replica in sync, and a sentinel that knows both. The caller ends them. */
export async function startRedisSentinel() {
  const [master, replica] = await Promise.all([launchRedis(...FAST_SYNC), launchRedis(...FAST_SYNC)])
  const admins = new Map([master, replica].map(({ port }) => [port, adminOf(port)]))
  const adminAt = (port: number) => admins.get(port) as Redis
  await adminAt(replica.port).replicaof('127.0.0.1', master.port)
  await inSync(adminAt(replica.port))

  const sentinel = await startSentinel(master.port)
  const sentinelAdmin = adminOf(sentinel.port)
  const ask = (...command: string[]) => sentinelAdmin.call('SENTINEL', ...command)
  const replicas = async () => (await ask('REPLICAS', MASTER_NAME)) as unknown[]
  await eventually(async () => (await replicas()).length, 1)

  return {
    master,
    replica,
    sentinel,
    adminAt,
    connections: () => connectionsTo([sentinelAdmin, ...admins.values()]),

    /** Makes the sentinel promote the replica. Resolves when the sentinel names it. */
    async failOver(): Promise<void> {
      const named = async () => Number(((await ask('GET-MASTER-ADDR-BY-NAME', MASTER_NAME)) as string[])[1])
      const before = await named()
      const promoted = before === master.port ? replica.port : master.port
      // Refused until the sentinel has pinged the replica.
      await eventually(() => ask('FAILOVER', MASTER_NAME).catch(String), 'OK')
      await eventually(named, promoted)
    },

    async end(): Promise<void> {
      for (const admin of [sentinelAdmin, ...admins.values()]) admin.disconnect()
      await Promise.all([sentinel, master, replica].map((broker) => broker.end()))
    },
  }
}

function adminOf(port: number): Redis {
  return new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: 0 }).on('error', () => {})
}

async function startSentinel(masterPort: number): Promise<Broker> {
  const sentinel = new Broker(await freePort(), ({ port, folder }) => {
    const file = join(folder, 'sentinel.conf')
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} 1`,
      // The tests decide when the replica is promoted.
      `sentinel down-after-milliseconds ${MASTER_NAME} 600000`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    return ['redis-server', file, '--sentinel']
  })
  await sentinel.start()
  return sentinel
}
