// Streams for who is logged in, by a session cookie: an EventSource sends cookies by itself.
// `node examples/cookie-auth/server.js`
//
// A status other than 200 ends an EventSource for good: it says `error`, its readyState is CLOSED, and it does not ask
// again. So 401 is the right answer to who is not logged in, and the page shows its login.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, Hub, refuseSseStream } from 'spillway'

const page = readFileSync(new URL('index.html', import.meta.url))
const hub = new Hub()
/** @type {Map<string, Set<import('spillway').SseStream>>} */
const sessions = new Map()

const server = createServer((request, response) => {
  const [, id = ''] = /(?:^|; )session=([\w-]+)/.exec(request.headers.cookie ?? '') ?? []
  switch (`${request.method} ${request.url}`) {
    case 'GET /':
      return response.writeHead(200, { 'Content-Type': 'text/html' }).end(page)
    case 'POST /login':
      return logIn(response)
    case 'POST /logout':
      return logOut(id, response)
    case 'GET /events':
      return follow(id, request, response)
    default:
      return response.writeHead(404).end()
  }
})

/** @param {import('node:http').ServerResponse} response */
function logIn(response) {
  const id = randomUUID()
  sessions.set(id, new Set())
  // In earnest `Secure` too. SameSite: no page of somebody else may open a stream with it.
  response.writeHead(204, { 'Set-Cookie': `session=${id}; HttpOnly; SameSite=Strict; Path=/` }).end()
}

/**
 * @param {string} id
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function follow(id, request, response) {
  const streams = sessions.get(id)
  if (!streams) return refuseSseStream(response, { status: 401 })
  const stream = createSseStream(request, response)
  streams.add(stream)
  stream.on('close', () => streams.delete(stream))
  hub.subscribe(stream, ['news'])
}

/**
 * A stream outlives the session that it was opened with, unless you end it: the client comes back, and is refused.
 *
 * @param {string} id
 * @param {import('node:http').ServerResponse} response
 */
function logOut(id, response) {
  for (const stream of sessions.get(id) ?? []) stream.close({ retry: 100 })
  sessions.delete(id)
  response.writeHead(204).end()
}

setInterval(() => hub.channel('news').publish({ data: new Date() }), 1000)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Log in at http://localhost:${port}`)
})
