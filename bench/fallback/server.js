import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from 'redis'
import { createSseStream, Hub } from 'spillway'
import { redisStore } from 'spillway/redis'
import { respond } from '../lib/child.js'

// `streamFor` is the time in ms after which the handler closes a stream, and `headersAfter` that before it responds.
const { redis, key, port, streamFor, headersAfter = 0, ...options } = JSON.parse(process.argv[2])
const hub = new Hub({
  store: redisStore(createClient({ url: `redis://127.0.0.1:${redis}` }), { key, publishTimeout: 30_000 }),
})
const streams = new Set()

const server = createServer(async (request, response) => {
  if (headersAfter) await pause(headersAfter * (1 + Math.random() / 2))
  const stream = createSseStream(request, response, { formats: ['event-stream', 'json'], ...options })
  streams.add(stream)
  stream.on('close', () => streams.delete(stream))
  hub.subscribe(stream, 'news')
  if (streamFor && stream.format === 'event-stream') setTimeout(() => stream.close({ retry: 200 }), streamFor)
})
server.listen({ port, host: '127.0.0.1', backlog: 4096 })
await once(server, 'listening')

respond({
  port: () => server.address().port,
  streams: () => streams.size,
  drain() {
    for (const stream of streams) stream.close()
  },
  /** Blocks the event loop. */
  block(ms) {
    const end = performance.now() + ms
    while (performance.now() < end);
  },
  async shutdown() {
    server.close()
    await hub.shutdown({ grace: 2000, retry: 300 })
    server.closeAllConnections()
  },
})
