import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createClient } from 'redis'
import { createSseStream, gracefulShutdown, Hub } from 'spillway'
import { redisStore } from 'spillway/redis'

const { PORT, REDIS_URL = 'redis://localhost' } = process.env
const client = createClient({ url: REDIS_URL })
const hub = new Hub({ store: redisStore(client, { key: 'cluster', publishTimeout: 30_000 }) })
const counts = hub.channel('counts')
const page = new URL('index.html', import.meta.url)

const server = createServer(async (request, response) => {
  const [path, query] = (request.url ?? '/').split('?', 2)
  if (path === '/events') return openStream(request, response)
  if (request.method === 'POST' && path === '/kill') process.send?.(`kill ${query}`)
  if (request.method === 'POST' && path === '/kill-redis') process.send?.('kill redis')
  response.setHeader('Content-Type', 'text/html; charset=utf-8')
  response.end(await readFile(page))
})

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function openStream(request, response) {
  const stream = createSseStream(request, response, { retry: 200 })
  // Has no id, because only the hub's own events have a position in its log.
  stream.send({ event: 'served', data: { by: process.pid } })
  counts.subscribe(stream)
}

// Each process publishes its own count, so that a page can detect a missing event of any process.
let n = 0
async function count() {
  n += 1
  const idempotencyKey = `${process.pid} ${n}`
  await counts.publish({ event: 'count', data: { by: process.pid, n } }, { idempotencyKey }).catch(() => {})
  setTimeout(count, 500)
}

server.listen(Number(PORT), count)
gracefulShutdown({ server, hub, grace: 1000, retry: 200 })
