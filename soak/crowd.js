import { setTimeout as pause } from 'node:timers/promises'
import { Client, totals } from './client.js'
import { parentPort } from './parent-port.js'

// A client process. It opens its share of the clients at a rate, and then cuts connections at another one.

const { port, streams, slow, churn, rate, interval } = JSON.parse(process.argv[2])
// How often connections are opened and cut, in ms.
const STEP = 50

let isComplete = false
setInterval(() => parentPort.report({ totals, isComplete }), (interval * 1_000) / 2)
const clients = Array.from({ length: streams }, (_, i) => new Client(port, i < slow))
for (let i = 0; i < streams; ) {
  const until = Math.min(streams, i + Math.ceil((rate * STEP) / 1_000))
  for (; i < until; i++) clients[i].connect()
  await pause(STEP)
}
while (totals.open < streams - slow) await pause(STEP)
isComplete = true

// Clients are counted by time and not by ticks, because a busy machine fires timers late.
const startedAt = performance.now()
setInterval(() => {
  const due = ((performance.now() - startedAt) / 1_000) * churn - totals.cuts
  // A client that is not connected cannot be cut. The next step then cuts another one instead.
  for (let left = due; left >= 1; left--) clients[pickFast()].cut()
}, STEP)

function pickFast() {
  return slow + Math.floor(Math.random() * (streams - slow))
}
