import { randomUUID } from 'node:crypto'
import { createClient } from 'redis'
import { beforeAll, onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions } from '../../src/hub/hub-options.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { jetstreamStore } from '../../src/stores/nats/index.ts'
import { redisPubSubStore, redisStore } from '../../src/stores/redis/index.ts'
import { type Broker, startNats, startRedis } from './brokers.ts'
import { connectNats } from './nats-hub.ts'

export interface LogOptions {
  /** How many events the log keeps. */
  maxEvents?: number
  /** How many of them a process caches. */
  recentEvents?: number
}

/** Opens the hub of another process on a log. It is shut down after the test. */
export type OpenHub = (options?: Omit<HubOptions, 'store'>) => Promise<Hub>

/** A kind of store. */
export interface LogKind {
  readonly name: string
  /** Whether all hubs of a log share their positions. Otherwise a log has one hub. */
  readonly isShared: boolean
  /** Creates a log. */
  newLog(options?: LogOptions): OpenHub
}

/** Starts a broker for the tests of a file. Returns its port. */
function startForFile(start: () => Promise<Broker>): () => number {
  let broker: Broker
  beforeAll(async () => {
    broker = await start()
    return () => broker.end()
  })
  return () => broker.port
}

// Thousands of publishes at once may take seconds.
const publishTimeout = 30_000

const inMemory: LogKind = {
  name: 'memory',
  isShared: false,
  newLog({ maxEvents = 100_000 } = {}) {
    return async (options) => new Hub({ ...options, store: new MemoryStore({ maxEvents }) })
  },
}

function redisKinds(port: () => number): LogKind[] {
  const client = () => createClient({ url: `redis://127.0.0.1:${port()}` }).on('error', () => {})
  return [
    {
      name: 'Redis Streams',
      isShared: true,
      newLog(limits) {
        const key = randomUUID()
        return (options) => hubOn(redisStore(client(), { key, publishTimeout, ...limits }), options)
      },
    },
    {
      name: 'Redis Pub/Sub',
      isShared: false,
      newLog({ maxEvents = 100_000 } = {}) {
        const redisChannel = randomUUID()
        return (options) =>
          hubOn(redisPubSubStore(client(), { redisChannel, publishTimeout, maxEvents }), options)
      },
    },
  ]
}

function jetstreamKind(port: () => number): LogKind {
  return {
    name: 'JetStream',
    isShared: true,
    newLog(limits) {
      const streamName = randomUUID()
      return async (options) => {
        const connection = await connectNats(port())
        onTestFinished(() => connection.close())
        return hubOn(jetstreamStore(connection, { streamName, publishTimeout, ...limits }), options)
      }
    },
  }
}

/** Starts a Redis and a NATS server for the tests of a file. Returns every kind of store. */
export function logKinds(): LogKind[] {
  return [inMemory, ...redisKinds(startForFile(startRedis)), jetstreamKind(startForFile(startNats))]
}

async function hubOn(store: EventStore, options: Omit<HubOptions, 'store'> = {}): Promise<Hub> {
  const hub = new Hub({ ...options, store })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  await store.ready
  return hub
}
