import { setTimeout as sleep } from 'node:timers/promises'
import { median, medians, ratio, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, start } from '../lib/child.js'
import { printSetting, printTable } from '../lib/report.js'

// The naive endpoints are the starting point: each client requests the whole list every two seconds.
const NAIVE = { path: '/', interval: 2_000 }
const REQUESTS = {
  snapshot: NAIVE,
  'snapshot, serialized once': NAIVE,
  'long poll': { path: '/?format=json' },
  'long poll, collects 2 s': { path: '/?format=json' },
}
const CONTENDERS = Object.keys(REQUESTS)
const BASE = 'snapshot'
const CLIENTS = 1_000
const RATES = [
  { title: 'one event a second', count: 12, interval: 1_000, rounds: 3 },
  { title: 'one event every ten seconds', count: 2, interval: 10_000, rounds: 2 },
]
const FIRST = { count: 1, interval: 500 }
const WARM_UP = { count: 10, interval: 300 }
const FIGURES = ['requests', 'cpu', 'bytes', 'p50']

buildSpillway()
printSetting(`long-poll: ${CLIENTS} clients that poll, per event and client`)
const crowds = []
for (const name of CONTENDERS) crowds.push(await openCrowd(name))
for (const rate of RATES) await compare(rate)
for (const { server, clients } of crowds) await Promise.all([server.stop(), clients.stop()])

async function openCrowd(name) {
  const server = await startServer(new URL('./server.js', import.meta.url), name)
  const clients = start(new URL('../lib/poll-clients.js', import.meta.url), { core: CLIENT_CORE })
  await clients.ask('open', { port: server.port, count: CLIENTS, path: '/', ...REQUESTS[name] })
  const crowd = { name, server, clients }
  await server.run('requests', { count: CLIENTS })
  // Until it has one event, a client does not count them.
  await clients.ask('receive', { newest: (await server.run('publish', FIRST)).at(-1)[0] })
  await measure(crowd, WARM_UP)
  return crowd
}

// All contenders at the same time, because they wait most of it. Their events are not published at the same moment.
async function compare({ title, rounds, ...publishing }) {
  const measured = new Map(CONTENDERS.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    const delayOf = (i) => (((i + round) % crowds.length) * publishing.interval) / crowds.length
    const all = crowds.map((crowd, i) => measure(crowd, { ...publishing, delay: delayOf(i) }))
    for (const [i, figures] of (await Promise.all(all)).entries()) measured.get(CONTENDERS[i]).push(figures)
  }
  report(title, measured)
}

async function measure({ name, server, clients }, { delay = 0, ...publishing }) {
  let published
  await sleep(delay)
  await clients.ask('take')
  const { cpu } = await server.measure(async () => {
    published = await server.run('publish', publishing)
  })
  const { responses, bytes, ...before } = await clients.ask('take')
  await clients.ask('receive', { newest: published.at(-1)[0] })
  const after = await clients.ask('take')
  const expected = CLIENTS * published.length
  const events = before.events + after.events
  if (events !== expected) throw new Error(`${name}: ${events} of ${expected} events arrived.`)
  const times = new Map(published)
  const latencies = [...before.arrivals, ...after.arrivals].map(([n, arrivedAt]) => arrivedAt - times.get(n))
  return { requests: responses / events, cpu: cpu / events, bytes: bytes / events, p50: median(latencies) }
}

function report(title, measured) {
  console.log(`${title}:\n`)
  const rows = [...measured].map(([name, rounds]) => {
    const { requests, cpu, bytes, p50 } = medians(rounds)
    const ratios = FIGURES.map((figure) => ratio(rounds, measured.get(BASE), figure).toFixed(2))
    return [name, requests.toFixed(2), cpu.toFixed(0), bytes.toFixed(0), p50.toFixed(0), ...ratios]
  })
  const header = [
    '',
    'requests',
    'CPU µs',
    'bytes',
    'p50 ms',
    'requests / snapshot',
    'CPU /',
    'bytes /',
    'p50 /',
  ]
  printTable(header, rows)
}
