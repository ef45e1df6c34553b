import { buildSpillway } from '../lib/build.js'
import { compareCrowds } from '../lib/compare-crowds.js'
import { printSetting } from '../lib/report.js'

const CONTENDERS = ['res-write', 'res-write, bytes', 'spillway', 'better-sse']
// A browser opens one connection for all its streams. A client that is a program usually has one stream. The cost of
// publishing an event is shared by all clients, so their number changes the ratios.
const CASES = [
  { clients: 200, perSession: 50 },
  { clients: 500, perSession: 50 },
  { clients: 200, perSession: 1 },
]

buildSpillway()
printSetting("http2: the server's CPU time for each event that each client is sent, µs")
for (const { clients, perSession } of CASES) {
  console.log(`Streams per connection: ${perSession}\n`)
  await compareCrowds({
    server: new URL('./server.js', import.meta.url),
    clients,
    requests: Object.fromEntries(CONTENDERS.map((name) => [name, { perSession }])),
    // Code that runs once per event is compiled after thousands of events only.
    warmUp: { count: 2_000, interval: 1 },
    base: 'res-write',
    targets: { spillway: { text: 'CPU of spillway / res-write', target: 1 } },
  })
}
