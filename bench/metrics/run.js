import { buildSpillway } from '../lib/build.js'
import { compareCrowds } from '../lib/compare-crowds.js'
import { printSetting } from '../lib/report.js'

const METERS = ['OpenTelemetry', 'prom-client']

buildSpillway()
printSetting("metrics: the server's CPU time for each event that each client is sent, µs")
await compareCrowds({
  server: new URL('./server.js', import.meta.url),
  requests: Object.fromEntries(['off', 'off, again', ...METERS].map((name) => [name, {}])),
  base: 'off',
  targets: Object.fromEntries(METERS.map((name) => [name, { text: `CPU with ${name} / off`, target: 1.03 }])),
})
