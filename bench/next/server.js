import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import next from 'next'
import { serveTokens } from '../lib/serve-tokens.js'
import { contender } from '../lib/server.js'

process.env.NODE_ENV = 'production'
const app = next({ dir: fileURLToPath(new URL('.', import.meta.url)), dev: false })
await app.prepare()
const answer = app.getRequestHandler()

await serveTokens((onStream) => {
  // What the routes are built into runs in this process.
  globalThis.onStream = onStream
  return createServer((request, response) => {
    request.url = `/tokens/${contender}`
    answer(request, response)
  })
})
