import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSseStream, Hub } from 'spillway'
import { serve } from '../lib/server.js'

// Longer than the benchmark, so that no poll ends.
const HOLD = 3_600_000
const options = { formats: ['event-stream', 'ndjson', 'json'], longPoll: { hold: HOLD } }
const channel = new Hub().channel('prices')
let requests = 0
let newest = 1_000_000

const server = createServer((request, response) => {
  channel.subscribe(createSseStream(request, response, options))
  requests += 1
})

await serve(
  {
    /** Publishes an event. Returns its number and its id. */
    async publish() {
      newest += 1
      return { newest, id: await channel.publish({ data: { n: newest } }) }
    },

    /** Resolves when there were `count` more requests. No data is kept per request. */
    async requests(_streams, { count }) {
      while (requests < count) await sleep(5)
      requests -= count
    },

    /** Resolves when all connections are closed. */
    async unconnected() {
      while ((await connections()) > 0) await sleep(5)
    },
  },
  () => server,
)

function connections() {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)))
}
