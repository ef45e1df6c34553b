import { connect } from '@nats-io/transport-node'
import { createClient } from 'redis'
import { memoryRuns } from 'spillway'
import { jetstreamRuns } from 'spillway/nats'
import { redisRuns } from 'spillway/redis'
import { launchNats, launchRedis } from '../../support/broker.js'

const MAX_AGE = 3_600_000

/** The functions that start each broker, and open a store of runs on it. The one in memory has a single process. */
export const stores = {
  memory: { open: () => memoryRuns() },

  redis: {
    launch: launchRedis,
    open(port) {
      const client = createClient({ url: `redis://127.0.0.1:${port}` })
      client.on('error', () => {})
      return redisRuns(client)
    },
  },

  jetstream: {
    launch: launchNats,
    async open(port) {
      const connection = await connect({
        servers: `127.0.0.1:${port}`,
        waitOnFirstConnect: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
      })
      return jetstreamRuns(connection, { maxAge: MAX_AGE })
    },
  },
}
