import { interleave, medians, ratio, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE } from '../lib/child.js'
import { startCrowd } from '../lib/fan-out.js'
import { launchBrokers } from '../lib/measured-broker.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

const BRIDGE = 'better-sse, Pub/Sub'
const OURS = { Redis: 'spillway, Redis', JetStream: 'spillway, JetStream' }
const CONTENDERS = [...Object.values(OURS), BRIDGE]
const PROCESSES = 2
const CLIENTS = 1_000
const server = new URL('./server.js', import.meta.url)
const PARTS = {
  latency: compareLatencies,
  commands: countCommands,
  storms: measureStorms,
  readers: measureReaders,
  saturation: saturate,
}
const [, , wanted] = process.argv

buildSpillway()
printSetting(`brokers: a publisher, a broker, ${PROCESSES} server processes`)
const brokers = await launchBrokers()
for (const [name, measure] of Object.entries(PARTS)) if (!wanted || name === wanted) await measure()
await brokers.end()

/** Starts a publisher, and server processes with their clients. */
async function startFleet(contender, clients, processes = PROCESSES) {
  const publisher = await startServer(server, contender, { core: CLIENT_CORE })
  const crowds = []
  for (let i = 0; i < processes; i++)
    crowds.push(await startCrowd(contender, clients, { server, isTimed: true }))
  return {
    publisher,
    crowds,
    /** Publishes events with a phase of the publisher. Resolves when all clients have received them. */
    async publish(publishing, phase = 'publish') {
      const newest = await publisher.run(phase, publishing)
      const { count } = publishing
      await Promise.all(crowds.map(({ clients }) => clients.ask('receive', { events: count, newest })))
      return newest
    },
    stop: () => Promise.all([publisher, ...crowds].map((each) => each.stop())),
  }
}

async function compareLatencies() {
  const EVENTS = { count: 20, interval: 150 }
  const started = CONTENDERS.map(async (name) => [name, await startFleet(name, CLIENTS)])
  const fleets = Object.fromEntries(await Promise.all(started))
  const measure = async (name) => {
    await fleets[name].publish(EVENTS)
    const each = await Promise.all(fleets[name].crowds.map(({ clients }) => clients.ask('takeLatencies')))
    if (each.some(({ count }) => count !== EVENTS.count * CLIENTS)) throw new Error('A latency is missing.')
    // The figure of the slower process.
    const worst = (figure) => Math.max(...each.map((latencies) => latencies[figure]))
    return { p50: worst('p50'), p99: worst('p99'), max: worst('max') }
  }
  await interleave(CONTENDERS, 2, measure)
  const measured = await interleave(CONTENDERS, 12, measure)
  for (const fleet of Object.values(fleets)) await fleet.stop()

  console.log(`latency: from publishing to arrival at each of ${PROCESSES} x ${CLIENTS} clients:\n`)
  const ratioOf = (name, figure) => ratio(measured.get(name), measured.get(BRIDGE), figure)
  const rows = CONTENDERS.map((name) => {
    const { p50, p99, max } = medians(measured.get(name))
    return [name, ...[p50, p99, max, ratioOf(name, 'p50'), ratioOf(name, 'p99')].map(fixed(2))]
  })
  printTable(['ms', 'p50', 'p99', 'max', 'p50 / bridge', 'p99 / bridge'], rows)
  for (const name of Object.values(OURS)) printTarget(`p99 of ${name} / bridge`, ratioOf(name, 'p99'), 1)
  console.log()
}

async function countCommands() {
  const PACES = {
    'one at a time': { count: 200, interval: 10 },
    'ten in one turn': { count: 200, interval: 50, perTurn: 10 },
  }
  for (const [broker, contender] of Object.entries(OURS)) {
    const fleet = await startFleet(contender, 1)
    await fleet.publish({ count: 1, interval: 0 })
    console.log(`requests to ${broker} for each event, with a publisher and ${PROCESSES} servers:\n`)
    for (const [pace, publishing] of Object.entries(PACES)) {
      const counts = await countsDuring(broker, () => fleet.publish(publishing))
      printCounts(pace, counts, publishing.count)
    }
    await fleet.stop()
    console.log()
  }
}

async function measureStorms() {
  const MISSED = 100
  for (const [broker, contender] of Object.entries(OURS)) {
    console.log(`requests to ${broker} when clients reconnect at once, each after ${MISSED} missed events:\n`)
    for (const [where, name] of Object.entries({ 'in memory': contender, older: `${contender}, old` })) {
      for (const clients of [200, 2_000]) {
        const counts = await stormOf(name, broker, clients, MISSED)
        printCounts(`${clients} clients, ${where}`, counts, 1)
      }
    }
    console.log()
  }
}

// Uses a new process, because an old one has already read the events.
async function stormOf(name, broker, clients, missed) {
  const { publisher, crowds, publish, stop } = await startFleet(name, 1, 1)
  const [crowd] = crowds
  await publish({ count: 2 * missed, interval: 1 })
  await crowd.close()
  const lastEventId = await publisher.run('idOf', { back: missed })
  const counts = await countsDuring(broker, async () => {
    await crowd.open(clients, { lastEventId, concurrency: clients })
    await crowd.clients.ask('receive', { events: missed })
  })
  await stop()
  return counts
}

/**
 * Measures the cost of an event for a broker by the number of processes that read it. The publisher is also a reader.
 */
async function measureReaders() {
  const EVENTS = { count: 1_000, interval: 5 }
  console.log('CPU of the broker for each event, one at a time, µs:\n')
  const rows = []
  for (const [broker, contender] of Object.entries(OURS)) {
    const cells = []
    for (const name of [contender, `10 x ${contender}`, `50 x ${contender}`]) {
      const publisher = await startServer(server, contender, { core: CLIENT_CORE })
      const readers = await startCrowd(name, 1, { server, isTimed: true })
      const before = brokers[broker].cpu()
      const newest = await publisher.run('publish', EVENTS)
      await readers.clients.ask('receive', { events: EVENTS.count, newest })
      cells.push((brokers[broker].cpu() - before) / EVENTS.count)
      await Promise.all([publisher.stop(), readers.stop()])
    }
    rows.push([broker, ...cells.map(fixed(0))])
  }
  printTable(['µs an event', '2 readers', '11 readers', '51 readers'], rows)
}

async function saturate() {
  const CROWDS = [1, 100]
  const FLOOD = { count: 20_000, window: 500 }
  const ROUNDS = 5
  console.log(
    'events a second through one hub, as fast as they are published, and how busy each process is:\n',
  )
  const rows = []
  for (const [broker, contender] of Object.entries(OURS)) {
    for (const clients of CROWDS) {
      const fleet = await startFleet(contender, clients, 1)
      await fleet.publish(FLOOD, 'flood')
      const rounds = []
      for (let i = 0; i < ROUNDS; i++) rounds.push(await floodOnce(fleet, broker, FLOOD))
      await fleet.stop()
      const { rate, publisher, server, engine } = medians(rounds)
      rows.push([
        `${broker}, ${clients} clients`,
        rate.toFixed(0),
        ...[publisher, engine, server].map(fixed(2)),
      ])
    }
  }
  printTable(['', 'events / s', 'publisher', 'broker', 'server'], rows)
}

async function floodOnce({ publisher, crowds, publish }, broker, flood) {
  const [crowd] = crowds
  const engine = brokers[broker].cpu()
  const startedAt = performance.now()
  let served
  const { cpu: published } = await publisher.measure(async () => {
    served = await crowd.server.measure(() => publish(flood, 'flood'))
  })
  const time = (performance.now() - startedAt) * 1000
  return {
    rate: (flood.count / time) * 1e6,
    publisher: published / time,
    server: served.cpu / time,
    engine: (brokers[broker].cpu() - engine) / time,
  }
}

async function countsDuring(broker, work) {
  const { counts } = brokers[broker]
  const before = await counts()
  await work()
  const after = await counts()
  return Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]))
}

function printCounts(label, counts, per) {
  const used = Object.entries(counts).filter(([, count]) => count > 0)
  const text = used.map(([name, count]) => `${name} ${+(count / per).toFixed(2)}`).join(', ')
  console.log(`- ${label}: ${text || 'nothing'}`)
}
