import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { buildSpillway } from '../lib/build.js'
import { printSetting } from '../lib/report.js'
import { compareTokens } from '../lib/tokens.js'

const nextCommand = createRequire(import.meta.url).resolve('next/dist/bin/next')

buildSpillway()
execFileSync(process.execPath, [nextCommand, 'build', fileURLToPath(new URL('.', import.meta.url))], {
  env: { ...process.env, CI: '1', NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1' },
  stdio: ['ignore', 2, 'inherit'],
})
printSetting('next: CPU time per token of one stream out of a route of Next, µs')
await compareTokens(new URL('./server.js', import.meta.url), ['spillway', 'by-hand'], {
  base: 'by-hand',
  target: 1,
})
