// Who sees what: a channel for each user, and a filter within the channels. `node examples/user-channels/server.js`
//
// Both decide on what is replayed as on what is live: who comes back with the last event id of somebody else gets what
// was published since, of what he may see himself.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, Hub, refuseSseStream } from 'spillway'

const hub = new Hub()
const page = readFileSync(new URL('index.html', import.meta.url))

// In earnest, who asks is read from a session, never from the URL.
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

  // What is for everybody and what is for this user: no other channel is ever read for this stream.
  const stream = createSseStream(request, response)
  hub.subscribe(stream, ['news', `user:${id}`], {
    // Within these, only what the user may know. It decides on what is replayed as on what is live.
    filter: (event) => event.data.level <= user.level,
  })
})

// Four times a second something happens, to everybody or to one user, of level 1, 2 or 3.
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
  console.log(`An editor and a reader, side by side, are at http://localhost:${port}`)
})
