import { Redis } from 'ioredis'
import { type Broker, freePort, launchRedis } from '../../support/broker.js'
import { connectionsTo, eventually, FAST_SYNC, inSync } from './redis-replica.ts'

const SLOTS = 16_384

/** A server of a cluster, with a connection that is not redirected. */
export interface ClusterServer {
  readonly broker: Broker
  readonly busPort: number
  readonly admin: Redis
  readonly id: string
}

/** A master and its replica. */
export interface Shard {
  readonly master: ClusterServer
  readonly replica: ClusterServer
  readonly slots: readonly [from: number, to: number]
}

export type RedisCluster = Awaited<ReturnType<typeof startRedisCluster>>

/** Starts a cluster of shards. No server is replaced automatically. The caller ends it. */
export async function startRedisCluster(size: number) {
  const servers = await Promise.all(Array.from({ length: 2 * size }, startServer))
  const shards = Array.from({ length: size }, (_, i): Shard => {
    const from = Math.floor((i * SLOTS) / size)
    const to = Math.floor(((i + 1) * SLOTS) / size) - 1
    const [master, replica] = [servers[i] as ClusterServer, servers[size + i] as ClusterServer]
    return { master, replica, slots: [from, to] }
  })
  const { admin } = servers[0] as ClusterServer
  for (const [i, { master, slots }] of shards.entries()) {
    await master.admin.call('CLUSTER', 'ADDSLOTSRANGE', ...slots)
    await master.admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
  }
  for (const { broker, busPort } of servers.slice(1))
    await admin.call('CLUSTER', 'MEET', '127.0.0.1', broker.port, busPort)
  await agree(servers, `cluster_known_nodes:${servers.length}\r`)
  for (const { master, replica } of shards) await replica.admin.call('CLUSTER', 'REPLICATE', master.id)
  await Promise.all(shards.map(({ replica }) => inSync(replica.admin)))
  await agree(servers, 'cluster_state:ok')

  const slotOf = async (key: string) => Number(await admin.call('CLUSTER', 'KEYSLOT', key))
  return {
    servers,
    shards,
    slotOf,
    connections: () => connectionsTo(servers.map(({ admin }) => admin)),

    /** Returns a key that a shard has. */
    async keyIn({ slots: [from, to] }: Shard, name: string): Promise<string> {
      for (let i = 0; ; i++) {
        const slot = await slotOf(`${name}-${i}`)
        if (from <= slot && slot <= to) return `${name}-${i}`
      }
    },

    /** Begins to move the slot of a key, in the steps of `redis-cli --cluster reshard`. */
    async migrateSlot(key: string, from: ClusterServer, to: ClusterServer) {
      const slot = await slotOf(key)
      await to.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
      await from.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
      const moveKeys = async () => {
        const keys = (await from.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 10_000)) as string[]
        await from.admin.call('MIGRATE', '127.0.0.1', to.broker.port, '', 0, 30_000, 'KEYS', ...keys)
      }
      const finish = async () => {
        for (const { admin } of [to, from]) await admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
      }
      return { moveKeys, finish }
    },

    async end(): Promise<void> {
      for (const { admin } of servers) admin.disconnect()
      await Promise.all(servers.map(({ broker }) => broker.end()))
    },
  }
}

async function startServer(): Promise<ClusterServer> {
  const busPort = await freePort()
  const options = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), ...FAST_SYNC]
  const broker = await launchRedis(...options, '--cluster-node-timeout', '60000')
  // Without `readOnly`, a replica redirects reads.
  const admin = new Redis({ port: broker.port, readOnly: true, retryStrategy: () => 50 }).on(
    'error',
    () => {},
  )
  return { broker, busPort, admin, id: String(await admin.call('CLUSTER', 'MYID')) }
}

/** Resolves when CLUSTER INFO of every server contains a line. */
async function agree(servers: readonly ClusterServer[], line: string): Promise<void> {
  const doAgree = async () => {
    const infos = await Promise.all(servers.map(({ admin }) => admin.call('CLUSTER', 'INFO')))
    return infos.every((info) => String(info).includes(line))
  }
  await eventually(doAgree, true)
}
