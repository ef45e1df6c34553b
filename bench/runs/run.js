import { interleave, medians, ratio, startServer } from '../lib/bench.js'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, SERVER_CORE, start } from '../lib/child.js'
import { launchBroker } from '../lib/measured-broker.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'
import { lengthOf } from './feeds.js'

const OURS = 'spillway, Redis'
const PEER = 'resumable-stream'
const LOOP = 'res-write'
// The source of these is in the process of the clients.
const LOCAL = new Set([LOOP, 'sendAll', 'spillway, memory'])
// How many runs there are, how many tokens each yields in a round and in which interval in ms, and how many rounds.
const SIZES = [
  { runs: 1, tokens: 100, interval: 20, rounds: 4 },
  { runs: 100, tokens: 100, interval: 20, rounds: 4 },
  { runs: 1_000, tokens: 20, interval: 100, rounds: 3 },
  { runs: 1_000, tokens: 50, interval: 20, rounds: 3 },
]
// As users have it. The other benchmarks write each command to disk before the reply.
const REDIS_OPTIONS = ['--appendonly', 'no']
const PARTS = { tokens: compareTokens, local: compareLocal, memory: compareMemory, late: compareLate }
const [, , wanted, runs] = process.argv
const sizes = SIZES.filter((size) => !runs || size.runs === Number(runs))

buildSpillway()
printSetting('runs: a source, a broker, a server')
const redis = await launchBroker('Redis', ...REDIS_OPTIONS)
process.env.REDIS_URL = redis.url
for (const [name, measure] of Object.entries(PARTS)) if (!wanted || name === wanted) await measure()
await redis.end()

/** Starts the processes of a contender, and runs with one client each. */
async function startFleet(contender, runs, { nodeFlags = [] } = {}) {
  const url = new URL('./server.js', import.meta.url)
  const server = await startServer(url, contender, { nodeFlags, core: SERVER_CORE })
  const isLocal = LOCAL.has(contender)
  const source = isLocal ? server : await startServer(url, contender, { nodeFlags, core: CLIENT_CORE })
  const clients = start(new URL('./clients.js', import.meta.url), { core: CLIENT_CORE })
  const ids = Array.from({ length: runs }, () => crypto.randomUUID())
  let length = 0
  let yielded = 0
  return {
    server,
    source,
    clients,
    ids,
    processes: isLocal ? [server] : [server, source],
    async open() {
      if (!isLocal) await source.run('start', { ids })
      await clients.ask('open', { port: server.port, ids })
      await server.hasStreams(runs)
    },
    /** Yields tokens in each run. Resolves when the clients have received them. */
    async play(count, interval, isReceived = true) {
      yielded += count
      length = lengthOf(yielded)
      await source.run('play', { count, interval })
      if (isReceived) await clients.ask('receive', { length })
    },
    catchUp: () => clients.ask('catchUp', { port: server.port, id: ids[0], length }),
    stop: () => Promise.all([server, source, clients].map((each) => each.stop())),
  }
}

/** Does the work, and returns the CPU time of the processes in µs. */
async function cpuDuring(processes, work) {
  await Promise.all(processes.map((each) => each.ask('startMeasuring')))
  await work()
  const measured = await Promise.all(processes.map((each) => each.ask('measured')))
  return measured.reduce((sum, { cpu }) => sum + cpu, 0)
}

async function latenciesOf({ source, clients }) {
  const [yielded, arrived] = await Promise.all([source.run('yieldTimes'), clients.ask('takeArrivals')])
  const all = Object.entries(arrived).flatMap(([id, times]) => times.map((at, i) => at - yielded[id][i]))
  all.sort((a, b) => a - b)
  return { p50: all[Math.floor(all.length / 2)], p99: all[Math.floor(all.length * 0.99)] }
}

async function measureTokens(name, fleet, { tokens, interval }) {
  await fleet.clients.ask('takeArrivals')
  const [counts, engine, startedAt] = [await redis.counts(), redis.cpu(), performance.now()]
  const cpu = await cpuDuring(fleet.processes, () => fleet.play(tokens, interval))
  const time = performance.now() - startedAt
  const total = tokens * fleet.ids.length
  const commands = difference(await redis.counts(), counts)
  return {
    ...(await latenciesOf(fleet)),
    cpu: cpu / total,
    // Without those of the other contenders, which renew their leases meanwhile.
    sent: countOf(commands, name === PEER ? ['publish'] : ['evalsha']) / total,
    executed: countOf(commands, ['publish', 'xadd', 'xrevrange']) / total,
    redis: (redis.cpu() - engine) / total,
    rate: (total / time) * 1000,
  }
}

async function measureFleets(contenders, size) {
  const { runs, rounds } = size
  const started = contenders.map(async (name) => [name, await startFleet(name, runs)])
  const fleets = Object.fromEntries(await Promise.all(started))
  for (const fleet of Object.values(fleets)) await fleet.open()
  const measure = (name) => measureTokens(name, fleets[name], size)
  await interleave(contenders, 1, measure)
  const measured = await interleave(contenders, rounds, measure)
  for (const fleet of Object.values(fleets)) await fleet.stop()
  return measured
}

async function compareTokens() {
  const contenders = [LOOP, PEER, OURS, `${OURS}, 20 ms`, `${OURS}, 50 ms`]
  for (const size of sizes) {
    const measured = await measureFleets(contenders, size)
    const ratioOf = (name, figure) => ratio(measured.get(name), measured.get(PEER), figure)
    console.log(`${size.runs} runs, a token every ${size.interval} ms each, per token:\n`)
    const rows = contenders.map((name) => {
      const { p50, p99, cpu, sent, executed, redis, rate } = medians(measured.get(name))
      const figures = [p50, p99, cpu, ratioOf(name, 'cpu'), sent, executed].map(fixed(2))
      return [name, ...figures, redis.toFixed(1), rate.toFixed(0)]
    })
    const header = ['p50 ms', 'p99 ms', 'CPU µs', `/ ${PEER}`, 'commands', 'executed', 'Redis CPU µs']
    printTable(['', ...header, 'tokens / s'], rows)
    for (const name of contenders.slice(2)) {
      printTarget(`CPU of ${name} / ${PEER}`, ratioOf(name, 'cpu'), 0.5)
      printTarget(`commands of ${name} / ${PEER}`, ratioOf(name, 'sent'), 0.5)
      printTarget(`p99 of ${name} / ${PEER}`, ratioOf(name, 'p99'), 1)
    }
    console.log()
  }
}

async function compareLocal() {
  const contenders = ['sendAll', LOOP, 'spillway, memory']
  console.log('CPU of one process for each token, without a broker:\n')
  const rows = []
  for (const size of sizes) {
    const measured = await measureFleets(contenders, size)
    const cells = contenders.map((name) => {
      const { cpu } = medians(measured.get(name))
      return `${cpu.toFixed(1)} (${ratio(measured.get(name), measured.get('sendAll'), 'cpu').toFixed(2)})`
    })
    rows.push([`${size.runs} runs, every ${size.interval} ms`, ...cells])
  }
  printTable(['µs a token (/ sendAll)', ...contenders], rows)
}

async function compareMemory() {
  const [runs, tokens] = [1_000, 200]
  const contenders = [LOOP, PEER, OURS]
  const rows = []
  for (const name of contenders) {
    const fleet = await startFleet(name, runs, { nodeFlags: ['--expose-gc'] })
    const before = await memoryOf(fleet)
    await fleet.open()
    await fleet.play(1, 1)
    const idle = await memoryOf(fleet)
    await fleet.play(tokens, 100)
    const active = await memoryOf(fleet)
    const kilobytes = (figure) =>
      [idle[figure] - before[figure], active[figure] - before[figure]].map((bytes) =>
        (bytes / runs / 1024).toFixed(1),
      )
    rows.push([name, ...kilobytes('heap'), ...kilobytes('rss'), ...kilobytes('redis')])
    await fleet.stop()
  }
  console.log(
    `memory of a run with a client, after one token (idle) and after ${tokens} more (active), KB:\n`,
  )
  const header = ['heap', 'rss', 'Redis'].flatMap((name) => [`${name}, idle`, 'active'])
  printTable(['KB a run', ...header], rows)
}

async function compareLate() {
  const [tokens, rounds] = [20_000, 2]
  const contenders = [PEER, OURS, `${OURS}, merge`]
  const measured = await interleave(contenders, rounds, async (name) => {
    const fleet = await startFleet(name, 1, { nodeFlags: ['--expose-gc'] })
    const before = await memoryOf(fleet)
    await fleet.source.run('start', { ids: fleet.ids })
    await fleet.play(tokens, 1, false)
    const after = await memoryOf(fleet)
    let caught
    const cpu = await cpuDuring(fleet.processes, async () => {
      caught = await fleet.catchUp()
    })
    await fleet.stop()
    return { ...caught, cpu: cpu / 1000, heap: after.heap - before.heap, redis: after.redis - before.redis }
  })
  const rows = contenders.map((name) => {
    const { time, events, cpu, heap, redis } = medians(measured.get(name))
    const memory = [heap, redis].map((bytes) => (bytes / 1024).toFixed(0))
    return [name, time.toFixed(0), events, cpu.toFixed(0), ...memory]
  })
  console.log(`a subscriber that comes after ${tokens} tokens:\n`)
  printTable(['', 'live after, ms', 'events', 'CPU ms', 'heap of the run, KB', 'Redis, KB'], rows)
}

/** Returns the memory of all processes of a contender together, and of Redis, in bytes. */
async function memoryOf({ processes }) {
  const each = await Promise.all(processes.map((process) => process.ask('memory')))
  const total = (figure) => each.reduce((sum, memory) => sum + memory[figure], 0)
  return { heap: total('heap') + total('external'), rss: total('rss'), redis: await redis.memory() }
}

function difference(after, before) {
  return Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]))
}

function countOf(counts, names) {
  return names.reduce((total, name) => total + (counts[name] ?? 0), 0)
}
