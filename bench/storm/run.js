import { median } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { printSetting, printTable, printTarget } from '../lib/report.js'

const CLIENTS = 5_000
const MISSED = 100
const ROUNDS = 6
const LIVE = { count: 10, interval: 100 }
// All that the server's listen queue takes.
const AT_ONCE = 4_000

buildSpillway()
printSetting(`storm: ${CLIENTS} clients come back at once, each ${MISSED} events behind`)
const crowd = await startCrowd('spillway', CLIENTS)
await crowd.publish({ ...LIVE, count: 20 })
await crowd.close()
// More than is missed, for nobody.
let newest = await crowd.server.run('publish', { count: 2 * MISSED, interval: 0 })
await measureRound()
const rounds = []
for (let round = 0; round < ROUNDS; round++) rounds.push(await measureRound())
await crowd.stop()

const of = (figure) => median(rounds.map((round) => round[figure]))
const row = (says, figure) => [
  says,
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

/** All three of the same server, one after the other. */
async function measureRound() {
  await crowd.open(CLIENTS)
  const { cpu: live } = await crowd.measure(LIVE)
  newest += LIVE.count
  await crowd.close()
  const accepted = await comeBack(0)
  const resumed = await comeBack(MISSED)
  return { live, accepted, resumed, replayed: (resumed - accepted) / MISSED }
}

/** CPU time per client until all have what they missed. */
async function comeBack(missed) {
  const lastEventId = await crowd.server.run('idOf', { back: missed })
  const { cpu } = await crowd.server.measure(async () => {
    await crowd.open(CLIENTS, { lastEventId, concurrency: AT_ONCE })
    await crowd.clients.ask('receive', missed ? { events: missed, newest } : { events: 0 })
  })
  await crowd.close()
  return cpu / CLIENTS
}
