import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../lib/poll-client.js'
import { contender, serve } from '../lib/server.js'
import { contenders } from './contenders.js'

const { createServer, publish } = contenders[contender]()
let requests = 0

await serve(
  {
    /** Resolves when there were `count` requests. */
    async requests(_streams, { count }) {
      while (requests < count) await sleep(5)
    },

    /**
     * Publishes an event at the middle of each interval. Resolves after the last interval with the number of each event
     * and when it was published, in ms.
     */
    async publish(_streams, { count, interval }) {
      const published = []
      const startedAt = performance.now()
      for (let i = 0; i < count; i++) {
        await sleep(startedAt + (i + 0.5) * interval - performance.now())
        published.push([publish(), now()])
      }
      await sleep(startedAt + count * interval - performance.now())
      return published
    },
  },
  () =>
    createServer().on('request', () => {
      requests += 1
    }),
)
