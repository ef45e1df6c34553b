// The words of a request, sent back one by one as a language model sends its tokens, on Bun. `bun examples/bun.js`

import { setTimeout } from 'node:timers/promises'
import { sse } from 'spillway/web'

const answer = sse(async function* (stream, request) {
  for (const word of (await request.text()).split(' ')) {
    yield { event: 'token', data: { word } }
    // When the client leaves, the generator ends.
    await setTimeout(200, undefined, { signal: stream.signal })
  }
})

// @ts-expect-error The types are those of Node.
const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  hostname: '127.0.0.1',
  // By default Bun cuts a connection after 10 seconds without a byte. An idle stream beats every 15.
  idleTimeout: 30,
  fetch: answer,
})

console.log(`curl -N -d 'to be or not to be' ${server.url}`)
