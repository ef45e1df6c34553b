import { once } from 'node:events'
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import { setTimeout as pause } from 'node:timers/promises'
import { createSseStream, Hub } from 'spillway'
import { respond } from '../lib/child.js'
import { createStore } from './store.js'

// `streamFor` is the time in ms after which the handler closes a stream, and `headersAfter` that before it responds.
// With a certificate in `tls`, the server speaks HTTP/2.
const { redis, key, port, tls, streamFor, headersAfter = 0, ...options } = JSON.parse(process.argv[2])
const hub = new Hub({ store: createStore(redis, key) })
const streams = new Set()
const sockets = new Set()

const handle = async (request, response) => {
  if (headersAfter) await pause(headersAfter * (1 + Math.random() / 2))
  const stream = createSseStream(request, response, { formats: ['event-stream', 'json'], ...options })
  streams.add(stream)
  stream.on('close', () => streams.delete(stream))
  hub.subscribe(stream, 'news')
  if (streamFor && stream.format === 'event-stream') setTimeout(() => stream.close({ retry: 200 }), streamFor)
}
const server = tls ? createSecureServer(tls, handle) : createServer(handle)
server.on('connection', (socket) => sockets.add(socket.on('close', () => sockets.delete(socket))))
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
    for (const socket of sockets) socket.destroy()
  },
})
