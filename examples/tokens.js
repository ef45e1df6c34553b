// The answer of a language model, as it comes. When the client leaves, the model stops, and no more is paid for.
// `node examples/tokens.js`, then with what it prints as <url>; leave with Ctrl-C before it is done:
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
 * In place of a model. A real one takes the signal too: `client.responses.create({ … }, { signal })`.
 *
 * @param {unknown} prompt
 * @param {AbortSignal} signal
 */
async function* complete(prompt, signal) {
  const answer = `You asked: ${prompt} It lets the water over that a dam cannot hold, so that the dam stands.`
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
  console.log(`The model answers a POST to http://localhost:${port}/chat`)
})
