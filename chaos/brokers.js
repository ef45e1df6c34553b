import { connect } from '@nats-io/transport-node'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { launchNats, launchRedis } from '../support/broker.js'

// The functions that start each broker, open a store on it, and invent an id. `limits` are options of the store.

const publishTimeout = 30_000
// The length of the longest number that is invented.
const RANGE = 1_000_000
const number = () => RANGE + Math.floor(Math.random() * RANGE)

// Functions that return an id which a log does not have, from one that it has.
const inventors = {
  redis: [
    () => `${number()}-0`,
    (id) => `${id.split('-')[0]}-${number()}`,
    () => `${Date.now() + 3_600_000}-${number()}`,
    () => `${number().toString(36)}-x`,
  ],
  jetstream: [
    (id) => `${id.split('-')[0]}-${number()}`,
    () => `${number().toString(36)}-${number()}`,
    () => `x${number()}`,
  ],
}

const inventWith = (all) => (id) => all[Math.floor(Math.random() * all.length)](id)
const redisOptions = { key: 'chaos', publishTimeout }

export const brokers = {
  redis: {
    launch: launchRedis,
    inventId: inventWith(inventors.redis),
    openStore(port, limits) {
      const client = createClient({ url: `redis://127.0.0.1:${port}` })
      client.on('error', () => {})
      return redisStore(client, { ...redisOptions, ...limits })
    },
  },

  ioredis: {
    launch: launchRedis,
    inventId: inventWith(inventors.redis),
    openStore: (port, limits) =>
      redisStore(new Redis({ port: Number(port), lazyConnect: true }), { ...redisOptions, ...limits }),
  },

  jetstream: {
    launch: launchNats,
    inventId: inventWith(inventors.jetstream),
    async openStore(port, limits) {
      const connection = await connect({
        servers: `127.0.0.1:${port}`,
        waitOnFirstConnect: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      })
      return jetstreamStore(connection, { streamName: 'chaos', publishTimeout, ...limits })
    },
  },
}
