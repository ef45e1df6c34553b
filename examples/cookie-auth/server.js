// Streams for users who are logged in. An EventSource sends the session cookie by itself.
// Run `node examples/cookie-auth/server.js`.
//
// On a status other than 200 an EventSource gives up permanently. It dispatches `error`, and its readyState is CLOSED.
// A user who is not logged in therefore gets a 401, and the page then shows its login button.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { gracefulShutdown, Hub, sse } from 'spillway'

const page = readFileSync(new URL('index.html', import.meta.url))
const hub = new Hub()
/** @type {Set<string>} */
const sessions = new Set()

const openStream = sse((stream) => hub.subscribe(stream, 'news'), {
  authorize({ request }) {
    const sessionId = sessionOf(request)
    return sessions.has(sessionId) ? { context: { sessionId } } : { status: 401 }
  },
})

const server = createServer((request, response) => {
  switch (`${request.method} ${request.url}`) {
    case 'GET /':
      return response.writeHead(200, { 'Content-Type': 'text/html' }).end(page)
    case 'POST /login':
      return logIn(response)
    case 'POST /logout':
      return logOut(sessionOf(request), response)
    case 'GET /events':
      return openStream(request, response)
    default:
      return response.writeHead(404).end()
  }
})

/** @param {import('spillway').NodeRequest} request */
function sessionOf({ headers }) {
  return /(?:^|; )session=([\w-]+)/.exec(headers.cookie ?? '')?.[1] ?? ''
}

/** @param {import('node:http').ServerResponse} response */
function logIn(response) {
  const id = randomUUID()
  sessions.add(id)
  // In production, add `Secure`. With `SameSite`, pages of other sites cannot open a stream with this cookie.
  response.writeHead(204, { 'Set-Cookie': `session=${id}; HttpOnly; SameSite=Strict; Path=/` }).end()
}

/**
 * Closes the streams of a session, because they would otherwise outlive it. Their clients reconnect and are refused.
 *
 * @param {string} sessionId
 * @param {import('node:http').ServerResponse} response
 */
async function logOut(sessionId, response) {
  sessions.delete(sessionId)
  await hub.closeStreams({ sessionId }, { retry: 100 })
  response.writeHead(204).end()
}

setInterval(() => hub.channel('news').publish({ data: new Date() }), 1000)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Log in at http://localhost:${port}`)
})

gracefulShutdown({ server, hub })
