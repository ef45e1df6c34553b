import { FRESH_PROCESSES, gather, interleave, medians, ratio } from './bench.js'
import { startCrowd } from './fan-out.js'
import { fixed, printTable, printTarget } from './report.js'

const PER_TURN = 10
const SINGLE = { count: 40, interval: 20 }
const BURST = { count: 120, perTurn: PER_TURN, interval: 50 }
const ROUNDS = 8

/**
 * Measures the fan-out of several contenders in the same run, and prints a table for single events and one for many
 * events in one turn. `requests` has the options of `startCrowd` for each contender. `warmUp`, if given, is published
 * before the measurements. Ratios are to `base`. `targets` has the text and the highest ratio of CPU time for some
 * contenders.
 */
export async function compareCrowds({ server, clients = 500, requests, warmUp, base, targets }) {
  const contenders = Object.keys(requests)
  const singles = new Map()
  const bursts = new Map()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const start = async (name) => [name, await startCrowd(name, clients, { server, ...requests[name] })]
    const crowds = Object.fromEntries(await Promise.all(contenders.map(start)))
    if (warmUp) for (const crowd of Object.values(crowds)) await crowd.publish(warmUp)
    gather(singles, await measureAll(contenders, crowds, SINGLE))
    gather(bursts, await measureAll(contenders, crowds, BURST))
    for (const crowd of Object.values(crowds)) await crowd.stop()
  }
  const compared = { base, targets }
  report(`${clients} clients, one event every ${SINGLE.interval} ms`, singles, compared)
  report(`${clients} clients, ${PER_TURN} events in one turn, every ${BURST.interval} ms`, bursts, compared)
}

async function measureAll(contenders, crowds, publishing) {
  const measure = (name) => crowds[name].measure(publishing)
  await interleave(contenders, 1, measure)
  return interleave(contenders, ROUNDS, measure)
}

function report(title, measured, { base, targets }) {
  console.log(`${title}:\n`)
  const rounds = measured.get(base)
  const rows = [...measured].map(([name, own]) => {
    const { cpu, user, busy } = medians(own)
    const ratios = ['cpu', 'user'].map((figure) => ratio(own, rounds, figure))
    return [name, ...[cpu, user, ...ratios, busy].map(fixed(2))]
  })
  printTable(['µs a delivery', 'CPU', 'user', `/ ${base}`, '… user', 'clients busy'], rows)
  for (const [name, { text, target }] of Object.entries(targets))
    printTarget(text, ratio(measured.get(name), rounds, 'cpu'), target)
  console.log()
}
