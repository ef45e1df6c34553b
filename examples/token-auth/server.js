// Streams for clients that have a token. The token is in the URL, because an EventSource cannot set a header.
// Run `node examples/token-auth/server.js`.
//
// URLs are written to log files. A token is therefore valid only for streams, for one user and for 30 s. The page gets
// it with `fetch`, which can send the real credentials.
//
// The token is checked when a stream is opened. `maxDuration` ends each stream, so that its client is checked again. An
// EventSource reconnects with the same URL. Once its token has expired, the server refuses it, and it gives up
// permanently. The page then gets a new token and opens a new EventSource. The new one sends no Last-Event-ID, so the
// URL contains the last event id too.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSseStream, gracefulShutdown, Hub, refuseSseStream } from 'spillway'

const LIFETIME = Number(process.env.TOKEN_MS ?? 30_000)

// In production, store the secret. Every process needs the same one, also after a restart.
const secret = randomBytes(32)
const page = readFileSync(new URL('index.html', import.meta.url))
const hub = new Hub()

/**
 * Returns a signed token for a user.
 *
 * @param {string} user
 */
function signToken(user) {
  const claims = Buffer.from(JSON.stringify({ user, expires: Date.now() + LIFETIME })).toString('base64url')
  return `${claims}.${signatureOf(claims).toString('base64url')}`
}

/**
 * Returns the user of a token, or undefined if the token is forged or has expired.
 *
 * @param {string} token
 * @returns {string | undefined}
 */
function readToken(token) {
  const [claims = '', signature = ''] = token.split('.')
  const [given, expected] = [Buffer.from(signature, 'base64url'), signatureOf(claims)]
  // Compares in constant time. Otherwise the duration would reveal how much of a guessed signature is right.
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
  // In production, check the user's session before you issue a token.
  if (path === '/token' && request.method === 'POST') return response.end(signToken('reader'))
  const user = readToken(new URLSearchParams(query).get('token') ?? '')
  if (!user) return refuseSseStream(response, { status: 401 })
  hub.subscribe(createSseStream(request, response, { maxDuration: LIFETIME, retry: 200 }), `user:${user}`)
})

let count = 0
setInterval(() => hub.channel('user:reader').publish({ data: { count: ++count } }), 100)

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Streams with tokens are at http://localhost:${port}`)
})

gracefulShutdown({ server, hub })
