import { contender, serve } from '../lib/server.js'
import { contenders } from './contenders.js'
import { dashboardEvent, tokenEvent } from './events.js'

const { createServer, publish } = contenders[contender.split(' ')[0]]()

await serve(
  {
    /** Sends each event to all streams, as a dashboard does. */
    async publish(_streams, { count, interval }) {
      for (let i = 0; i < count; i++) {
        await new Promise((resolve) => setTimeout(resolve, interval))
        publish(dashboardEvent())
      }
    },

    /** Sends each stream events of its own, as the answers of a language model are. */
    async sendOwn(streams, { count, interval }) {
      for (let i = 0; i < count; i++) {
        await new Promise((resolve) => setTimeout(resolve, interval))
        for (const stream of streams) stream.send(tokenEvent())
      }
    },
  },
  createServer,
)
