import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import next from 'next'
import { serveTokens } from '../lib/serve-tokens.js'
import { contender } from '../lib/server.js'

process.env.NODE_ENV = 'production'
const app = next({ dir: fileURLToPath(new URL('.', import.meta.url)), dev: false })
await app.prepare()
const handle = app.getRequestHandler()

await serveTokens((onStream) => {
  // The built routes run in this process.
  globalThis.onStream = onStream
  return createServer((request, response) => {
    request.url = `/tokens/${contender}`
    handle(request, response)
  })
})
