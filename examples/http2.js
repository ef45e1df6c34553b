// HTTP/2: as many streams as you like on one connection, where a browser has no more than six of HTTP/1.1.
// `node examples/http2.js`, then `curl -N --http2-prior-knowledge` what it prints.
//
// Browsers speak HTTP/2 over TLS only: `createSecureServer({ key, cert, allowHTTP1: true }, …)` serves them with the
// same handler, and HTTP/1.1 too.

import { createServer } from 'node:http2'
import { createSseStream } from 'spillway'

const server = createServer((request, response) => {
  const stream = createSseStream(request, response)
  let count = 0
  const tick = () => stream.send({ event: 'tick', data: { path: request.url, count: count++ } })
  const timer = setInterval(tick, 1000)
  stream.on('close', () => clearInterval(timer))
  tick()
})

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`HTTP/2 without TLS is spoken at http://localhost:${port}`)
})
