// Streams the response of a language model, token by token. If the client disconnects, the model stops, so that no
// further tokens are paid for.
// Run `node examples/tokens.js`, then request the URL that it prints. Press Ctrl-C to disconnect:
//
//   curl -N -H 'Content-Type: application/json' -d '{"prompt":"What is a spillway?"}' <url>

import { setTimeout as delay } from 'node:timers/promises'
import express from 'express'
import { sse } from 'spillway/express'

const app = express()

app.post(
  '/chat',
  express.json(),
  sse(async function* (stream, request) {
    for await (const token of complete(request.body?.prompt, stream.signal)) {
      yield { event: 'token', data: { token } }
    }
    yield { event: 'done', data: { reason: 'stop' } }
  }),
)

/**
 * Stands in for a language model. The client of a real one accepts a signal too, for example
 * `client.responses.create({ … }, { signal })`.
 *
 * @param {unknown} prompt
 * @param {AbortSignal} signal
 */
async function* complete(prompt, signal) {
  const answer = `You asked: ${prompt} A spillway releases the water that a dam cannot hold, so that the dam stands.`
  const tokens = answer.match(/\S+\s*/g) ?? []
  let count = 0
  try {
    for (const token of tokens) {
      await delay(50, undefined, { signal })
      count += 1
      yield token
    }
  } finally {
    console.log(`${signal.aborted ? 'Aborted after' : 'Made'} ${count} of ${tokens.length} tokens`)
  }
}

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Send a POST to http://localhost:${port}/chat`)
})
