// HTTP/2: many streams on one connection. Over HTTP/1.1 a browser opens at most six connections to one origin.
// Run `node examples/http2.js`, then `curl -N --http2-prior-knowledge` the URL that it prints.
//
// Browsers support HTTP/2 only over TLS. For them use `createSecureServer({ key, cert, allowHTTP1: true }, handler)`,
// which also serves HTTP/1.1.

import { createServer } from 'node:http2'
import { createSseStream, gracefulShutdown } from 'spillway'

const server = createServer((request, response) => {
  const stream = createSseStream(request, response)
  let count = 0
  const tick = () => stream.send({ event: 'tick', data: { path: request.url, count: count++ } })
  const timer = setInterval(tick, 1000)
  stream.on('close', () => clearInterval(timer))
  tick()
})

// Clients of HTTP/2 keep their sessions open. Called before the server listens, because Node.js does not list them.
gracefulShutdown({ server, grace: 0 })

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Streaming over HTTP/2 without TLS at http://localhost:${port}`)
})
