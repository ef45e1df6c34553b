// Bun: sends the words of a request back one by one, as a language model sends its tokens.
// Run `bun examples/bun.js`.

import { setTimeout } from 'node:timers/promises'
import { sse } from 'spillway/web'

const answer = sse(async function* (stream, request) {
  for (const word of (await request.text()).split(' ')) {
    yield { event: 'token', data: { word } }
    // If the client disconnects, this rejects and the generator ends.
    await setTimeout(200, undefined, { signal: stream.signal })
  }
})

// @ts-expect-error The types are those of Node.
const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  hostname: '127.0.0.1',
  // Bun closes connections that are idle for 10 s by default. The heartbeat of an idle stream is every 15 s.
  idleTimeout: 30,
  fetch: answer,
})

console.log(`curl -N -d 'to be or not to be' ${server.url}`)
