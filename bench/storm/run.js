import { median } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { printSetting, printTable, printTarget } from '../lib/report.js'

const CLIENTS = 5_000
const MISSED = 100
const ROUNDS = 6
const LIVE = { count: 10, interval: 100 }
// The length of the server's listen queue.
const AT_ONCE = 4_000

buildSpillway()
printSetting(`storm: ${CLIENTS} clients reconnect at once, each after ${MISSED} missed events`)
const crowd = await startCrowd('spillway', CLIENTS)
await crowd.publish({ ...LIVE, count: 20 })
await crowd.close()
// Fills the store with more events than the clients miss.
let newest = await crowd.server.run('publish', { count: 2 * MISSED, interval: 0 })
await measureRound()
const rounds = []
for (let round = 0; round < ROUNDS; round++) rounds.push(await measureRound())
await crowd.stop()

const of = (figure) => median(rounds.map((round) => round[figure]))
const row = (label, figure) => [
  label,
  of(figure).toFixed(2),
  median(rounds.map((round) => round[figure] / round.live)).toFixed(2),
]
printTable(
  ['CPU µs', '', '/ live'],
  [
    row('an event delivered live', 'live'),
    row('an event replayed', 'replayed'),
    row('a client accepted that missed nothing', 'accepted'),
    row(`a client accepted and sent ${MISSED} events`, 'resumed'),
  ],
)
const share = median(rounds.map(({ replayed, live }) => replayed / live))
printTarget('CPU of an event replayed, without accepting / delivered live', share, 0.2)

/** Measures live delivery, reconnection and replay of the same server. */
async function measureRound() {
  await crowd.open(CLIENTS)
  const { cpu: live } = await crowd.measure(LIVE)
  newest += LIVE.count
  await crowd.close()
  const accepted = await reconnect(0)
  const resumed = await reconnect(MISSED)
  return { live, accepted, resumed, replayed: (resumed - accepted) / MISSED }
}

/** Returns the CPU time per client until all clients have received the events that they missed. */
async function reconnect(missed) {
  const lastEventId = await crowd.server.run('idOf', { back: missed })
  const { cpu } = await crowd.server.measure(async () => {
    await crowd.open(CLIENTS, { lastEventId, concurrency: AT_ONCE })
    await crowd.clients.ask('receive', missed ? { events: missed, newest } : { events: 0 })
  })
  await crowd.close()
  return cpu / CLIENTS
}
