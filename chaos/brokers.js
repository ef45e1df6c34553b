import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { launchNats, launchRedis } from '../support/broker.js'

// The functions that start each broker, and that open a store on it.

const publishTimeout = 30_000
const redisOptions = { key: 'chaos', publishTimeout, maxEvents: 1_000_000 }

export const brokers = {
  redis: {
    launch: launchRedis,
    openStore(port) {
      const client = createClient({ url: `redis://127.0.0.1:${port}` })
      client.on('error', () => {})
      return redisStore(client, redisOptions)
    },
  },

  ioredis: {
    launch: launchRedis,
    openStore: (port) => redisStore(new Redis({ port: Number(port), lazyConnect: true }), redisOptions),
  },

  jetstream: {
    launch: launchNats,
    async openStore(port) {
      const connection = await connect({
        servers: `127.0.0.1:${port}`,
        waitOnFirstConnect: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      })
      return jetstreamStore(connection, { streamName: 'chaos', publishTimeout, maxEvents: 1_000_000 })
    },
  },
}
