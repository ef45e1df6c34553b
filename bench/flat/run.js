import { FRESH_PROCESSES, gather, interleave, median, medians, ratio } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { startCrowd } from '../lib/fan-out.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const SIZES = [500, 2_000, 5_000, 10_000]
const CONTENDERS = ['socket', 'spillway']
const ROUNDS = 8
// The number of deliveries, and of deliveries per second, is the same for every number of clients.
const EVENTS_OF_ONE = 20_000
const MS_OF_ONE = 0.03

buildSpillway()
printSetting("flat: the server's CPU time for each event that each client is sent, µs, one event at a time")
const runs = SIZES.flatMap((size) => CONTENDERS.map((name) => ({ name, size })))
const measured = new Map()
for (let i = 0; i < FRESH_PROCESSES; i++) gather(measured, await measureAll())

const of = (name, size) => measured.get(runs.find((run) => run.name === name && run.size === size))
const toSocket = (size) => ratio(of('spillway', size), of('socket', size), 'cpu')
const toSmallest = (name, size) => ratio(of(name, size), of(name, SIZES[0]), 'cpu')
/** Returns the growth of Spillway's cost since the smallest size, relative to the growth of the socket's cost. */
const growth = (size) => {
  const relative = (round, at) => of('spillway', at)[round].cpu / of('socket', at)[round].cpu
  return median(of('socket', size).map((_, round) => relative(round, size) / relative(round, SIZES[0])))
}
const rows = SIZES.map((size) => {
  const [socket, spillway] = CONTENDERS.map((name) => medians(of(name, size)).cpu)
  const curves = CONTENDERS.map((name) => toSmallest(name, size))
  return [size, ...[socket, curves[0], spillway, curves[1], toSocket(size), growth(size)].map(fixed(2))]
})
const first = `/ at ${SIZES[0]}`
printTable(['clients', 'socket', first, 'spillway', first, 'spillway / socket', first], rows)
for (const size of SIZES.slice(1))
  printTarget(`${size} clients, CPU / socket / at ${SIZES[0]}`, growth(size), 1.1)

/** Measures all sizes in each round, so the streams of all sizes are open at the same time. */
async function measureAll() {
  const crowds = new Map()
  for (const run of runs) crowds.set(run, await startCrowd(run.name, run.size))
  const measure = (run) =>
    crowds.get(run).measure({ count: EVENTS_OF_ONE / run.size, interval: MS_OF_ONE * run.size })
  await interleave(runs, 1, measure)
  const fresh = await interleave(runs, ROUNDS, measure)
  for (const crowd of crowds.values()) await crowd.stop()
  return fresh
}
