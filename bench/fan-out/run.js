import { interleave, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const CONTENDERS = ['socket', 'spillway', 'res-write', 'better-sse']
const BASES = ['socket', 'res-write', 'better-sse']
const FLOOR_OF_BURSTS = 'socket, joined'
// As many deliveries a second whatever the number of clients: 5 000 of them every 20 ms are more than a core can do.
const SIZES = [
  { clients: 500, rounds: 6, single: { count: 40, interval: 20 }, burst: { count: 120, interval: 50 } },
  { clients: 5_000, rounds: 5, single: { count: 6, interval: 150 }, burst: { count: 20, interval: 500 } },
]
const PER_TURN = 10
const asked = SIZES.filter(({ clients }) => !process.argv[2] || clients === Number(process.argv[2]))

buildSpillway()
printSetting("fan-out: the server's CPU time for each event that each client is sent, µs")
for (const size of asked) {
  const names = await Promise.all(
    [...CONTENDERS, FLOOR_OF_BURSTS].map(async (name) => [name, await startCrowd(name, size.clients)]),
  )
  const crowds = Object.fromEntries(names)
  await compareSingle(crowds, size)
  await compareBursts(crowds, size)
  for (const crowd of Object.values(crowds)) await crowd.stop()
}

async function compareSingle(crowds, { clients, rounds, single }) {
  console.log(`${clients} clients, one event every ${single.interval} ms:\n`)
  const compare = await measureAll(crowds, CONTENDERS, rounds, single)
  printTarget('CPU / socket', compare('cpu', 'socket'), 1.1)
  printTarget('CPU / better-sse', compare('cpu', 'better-sse'), 0.75)
  printTarget('user CPU / better-sse', compare('user', 'better-sse'), 0.45)
  console.log()
}

async function compareBursts(crowds, { clients, rounds, burst }) {
  console.log(`${clients} clients, ${PER_TURN} events in one turn, every ${burst.interval} ms:\n`)
  const compare = await measureAll(crowds, [...CONTENDERS, FLOOR_OF_BURSTS], rounds, {
    ...burst,
    perTurn: PER_TURN,
  })
  printTarget('CPU / better-sse', compare('cpu', 'better-sse'), 0.35)
  printTarget('CPU / res-write', compare('cpu', 'res-write'), 0.5)
  console.log()
}

/** Returns how our figures compare with those of another contender. */
async function measureAll(crowds, contenders, rounds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(contenders, 1, measure)
  const measured = await interleave(contenders, rounds, measure)
  const ratioOf = (name, other, figure) => ratio(measured.get(name), measured.get(other), figure)
  const rows = contenders.map((name) => {
    const { cpu, user, busy } = medians(measured.get(name))
    const ratios = BASES.map((base) => ratioOf(name, base, 'cpu'))
    return [name, ...[cpu, user, ...ratios, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', ...BASES.map((base) => `/ ${base}`), 'clients busy'], rows)
  return (figure, other) => ratioOf('spillway', other, figure)
}
