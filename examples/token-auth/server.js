// Streams for who has a token, in the URL: an EventSource cannot set a header. `node examples/token-auth/server.js`
//
// What stands in a URL is written to logs on its way. So a token is good for nothing but streams, for one user and for
// half a minute; the page gets it with a fetch, which can carry the real credentials.
//
// The token is looked at when a stream is opened. `maxDuration` ends each stream, so that its client has to show again that
// it still may. An EventSource asks again with the same URL; with a token that has expired it is refused, and gives up
// for good. Then the page gets a new token and opens a new EventSource, which goes on after the last event: a new one
// sends no Last-Event-ID, so the URL carries that too.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, Hub, refuseSseStream } from 'spillway'

const LIFETIME = Number(process.env.TOKEN_MS ?? 30_000)

// In earnest it is kept: every process must sign alike, also after a restart.
const secret = randomBytes(32)
const page = readFileSync(new URL('index.html', import.meta.url))
const hub = new Hub()

/** @param {string} user */
function signToken(user) {
  const claims = Buffer.from(JSON.stringify({ user, expires: Date.now() + LIFETIME })).toString('base64url')
  return `${claims}.${signatureOf(claims).toString('base64url')}`
}

/**
 * @param {string} token
 * @returns {string | undefined} the user
 */
function readToken(token) {
  const [claims = '', signature = ''] = token.split('.')
  const [given, expected] = [Buffer.from(signature, 'base64url'), signatureOf(claims)]
  // In constant time: otherwise the time it takes would tell how much of a guess was right.
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  const { user, expires } = JSON.parse(Buffer.from(claims, 'base64url').toString())
  return expires > Date.now() ? user : undefined
}

/** @param {string} claims */
function signatureOf(claims) {
  return createHmac('sha256', secret).update(claims).digest()
}

const server = createServer((request, response) => {
  const [path, query] = (request.url ?? '').split('?', 2)
  if (path === '/') return response.writeHead(200, { 'Content-Type': 'text/html' }).end(page)
  // In earnest, who asks for a token has logged in.
  if (path === '/token' && request.method === 'POST') return response.end(signToken('reader'))
  const user = readToken(new URLSearchParams(query).get('token') ?? '')
  if (!user) return refuseSseStream(response, { status: 401 })
  hub.subscribe(createSseStream(request, response, { maxDuration: LIFETIME, retry: 200 }), [`user:${user}`])
})

let count = 0
setInterval(() => hub.channel('user:reader').publish({ data: { count: ++count } }), 100)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Streams for tokens are at http://localhost:${port}`)
})
