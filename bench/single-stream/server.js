import { serveTokens } from '../lib/serve-tokens.js'

await serveTokens()
