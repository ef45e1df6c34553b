import { buildSpillway } from '../lib/build.js'
import { compareCrowds } from '../lib/compare-crowds.js'
import { printSetting } from '../lib/report.js'

buildSpillway()
printSetting("formats: the server's CPU time for each event that each client is sent, µs")
await compareCrowds({
  server: new URL('./server.js', import.meta.url),
  // A line of NDJSON ends the data and the event.
  requests: { 'event stream': {}, NDJSON: { path: '/?format=ndjson', end: '}}\n' } },
  base: 'event stream',
  targets: { NDJSON: { text: 'CPU of NDJSON / event stream', target: 1.1 } },
})
