// Restricts which events each user sees: one channel per user, and a filter within the channels.
// Run `node examples/user-channels/server.js`.
//
// Both apply to replayed events as well as to live events. A client that sends another user's last event id gets only
// the events after it that it may see itself.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, gracefulShutdown, Hub, refuseSseStream } from 'spillway'

const hub = new Hub()
const page = readFileSync(new URL('index.html', import.meta.url))

// In production, read the user from a session, never from the URL.
const users = new Map([
  ['editor', { level: 3 }],
  ['reader', { level: 1 }],
])

const server = createServer((request, response) => {
  const [path = '', query] = (request.url ?? '').split('?', 2)
  if (path === '/') return response.writeHead(200, { 'Content-Type': 'text/html' }).end(page)
  const id = new URLSearchParams(query).get('user') ?? ''
  const user = users.get(id)
  if (!user) return refuseSseStream(response, { status: 403 })

  // Subscribes to the shared channel and to the user's own. Events of other channels never reach this stream.
  const stream = createSseStream(request, response)
  hub.subscribe(stream, ['news', `user:${id}`], {
    // Hides the events above the user's level, both live and replayed.
    filter: (event) => event.data.level <= user.level,
  })
})

// Publishes four events a second, to everybody or to one user, with level 1, 2 or 3.
const channels = ['news', 'user:editor', 'news', 'user:reader']
let count = 0
setInterval(() => {
  const name = channels[count % 4] ?? ''
  const level = 1 + (count % 3)
  count += 1
  hub.channel(name).publish({ data: { count, level, for: name } })
}, 250)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Compare an editor and a reader at http://localhost:${port}`)
})

gracefulShutdown({ server, hub })
