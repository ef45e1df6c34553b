// node:http: streams the time.
// Run `node examples/http.js`, then `curl -N` the URL that it prints.

import { createServer } from 'node:http'
import { createSseStream } from 'spillway'

const server = createServer((request, response) => {
  const stream = createSseStream(request, response)
  const tick = () => stream.send({ event: 'tick', data: new Date() })
  const timer = setInterval(tick, 1000)
  stream.on('close', () => clearInterval(timer))
  tick()
})

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`The time is at http://localhost:${port}`)
})
