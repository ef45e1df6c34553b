import { buildSpillway } from '../lib/build.js'
import { printSetting } from '../lib/report.js'
import { compareTokens } from '../lib/tokens.js'

buildSpillway()
printSetting('single-stream: CPU time of the server per token, µs')
await compareTokens(
  new URL('./server.js', import.meta.url),
  ['spillway', 'res-write', 'better-sse', 'hono'],
  { base: 'res-write', target: 1 },
)
