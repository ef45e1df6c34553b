// Streams for users who are logged in. An EventSource sends the session cookie by itself.
// Run `node examples/cookie-auth/server.js`.
//
// On a status other than 200 an EventSource gives up permanently: it dispatches `error` and its readyState is CLOSED.
// 401 is therefore the right response to a user who is not logged in, and the page then shows its login button.

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
      return openStream(id, request, response)
    default:
      return response.writeHead(404).end()
  }
})

/** @param {import('node:http').ServerResponse} response */
function logIn(response) {
  const id = randomUUID()
  sessions.set(id, new Set())
  // In production, add `Secure`. With `SameSite`, pages of other sites cannot open a stream with this cookie.
  response.writeHead(204, { 'Set-Cookie': `session=${id}; HttpOnly; SameSite=Strict; Path=/` }).end()
}

/**
 * @param {string} id
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
function openStream(id, request, response) {
  const streams = sessions.get(id)
  if (!streams) return refuseSseStream(response, { status: 401 })
  const stream = createSseStream(request, response)
  streams.add(stream)
  stream.on('close', () => streams.delete(stream))
  hub.subscribe(stream, 'news')
}

/**
 * Closes the streams of a session, because they would otherwise outlive it. Their clients reconnect and are refused.
 *
 * @param {string} id
 * @param {import('node:http').ServerResponse} response
 */
function logOut(id, response) {
  for (const stream of sessions.get(id) ?? []) stream.close({ retry: 100 })
  sessions.delete(id)
  response.writeHead(204).end()
}

const timer = setInterval(() => hub.channel('news').publish({ data: new Date() }), 1000)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Log in at http://localhost:${port}`)
})

process.once('SIGTERM', async () => {
  clearInterval(timer)
  server.close()
  await hub.shutdown()
  server.closeAllConnections() // browsers keep connections open for later requests
})
