import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { launchNats, launchRedis } from '../support/broker.js'

// The functions that start each broker, and that open a store on it.

const publishTimeout = 30_000
const redisOptions = { key: 'chaos', publishTimeout }

export const brokers = {
  redis: {
    launch: launchRedis,
    openStore(port, maxEvents) {
      const client = createClient({ url: `redis://127.0.0.1:${port}` })
      client.on('error', () => {})
      return redisStore(client, { ...redisOptions, maxEvents })
    },
  },

  ioredis: {
    launch: launchRedis,
    openStore: (port, maxEvents) =>
      redisStore(new Redis({ port: Number(port), lazyConnect: true }), { ...redisOptions, maxEvents }),
  },

  jetstream: {
    launch: launchNats,
    async openStore(port, maxEvents) {
      const connection = await connect({
        servers: `127.0.0.1:${port}`,
        waitOnFirstConnect: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      })
      return jetstreamStore(connection, { streamName: 'chaos', publishTimeout, maxEvents })
    },
  },
}
