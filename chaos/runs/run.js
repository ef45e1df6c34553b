import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../../support/broker.js'
import { ServerProcess } from '../server-process.js'
import { Author } from './author.js'
import { randomOf } from './random.js'
import { stores } from './stores.js'
import { Trouble } from './trouble.js'
import { Verdict } from './verdict.js'
import { Witness } from './witness.js'

// Runs `--runs` runs, `--active` at a time, in four server processes. Three readers subscribe to each run, reconnect as
// `EventSource` does, and are cut at random. Servers and the broker are killed, frozen beyond the lease and restarted.
// Processes other than the owner stop some runs. The store in memory has one server, which is neither killed nor
// frozen.
//
// Each reader MUST receive the whole text exactly once and in order, and the right end. A gap is allowed only in a run
// that keeps few events, and the end `lost` only if the owner was killed or stood still. Each source notes in a file
// when it begins and ends. A run MUST NOT have two sources, and no source may continue after the end was received.
// Otherwise the exit code is 1.
//
// A lost run may be removed and started again with the same id. Its earlier source MUST NOT continue then.
//
// With `--break starts` a run has a source in each process that starts it, and with `--break reads` batches are
// missing. Both MUST end with the exit code 1.

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'redis' },
    runs: { type: 'string', default: '1000' },
    active: { type: 'string', default: '60' },
    servers: { type: 'string', default: '4' },
    // The lease of the owners, in ms.
    lease: { type: 'string', default: '2000' },
    // How much more often than usual a process is killed or frozen.
    trouble: { type: 'string', default: '1' },
    // A part of the store that is disabled.
    break: { type: 'string', default: 'nothing' },
    // All random choices follow from it. The times of processes do not.
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const { seed, store } = values
const lease = Number(values.lease)
const count = Number(values.runs)
// The largest number of faults that are printed.
const MAX_FAULTS = 30
// The time that the readers may take to receive the end after the last trouble, in ms.
const GRACE = 60_000

if (!stores[store]) throw new Error(`--store must be one of ${Object.keys(stores).join(', ')}.`)
console.log(`${count} runs, store ${store}, --seed ${seed}`)
const broker = await stores[store].launch?.()
const witness = new Witness(lease)
const servers = await startServers(broker ? Number(values.servers) : 1)
const ports = servers.map(({ port }) => port)
const authors = []
const waiting = Array.from({ length: count }, (_, at) => `r${at}`)
const readers = () => authors.flatMap((author) => author.readers).filter(({ isFinished }) => !isFinished)

const startedAt = Date.now()
const progress = setInterval(() => {
  console.error(`${authors.length} of ${count} runs started, ${readers().length} readers`)
}, 10_000)
const trouble = new Trouble(randomOf(`${seed} trouble`), { rate: Number(values.trouble), lease })
trouble.addReaders(readers)
if (broker) {
  trouble.addBroker(broker)
  for (const server of servers) trouble.addServer(server)
}
const working = Promise.all(Array.from({ length: Number(values.active) }, work))
while (waiting.length > 0) await pause(100)
// The last runs end without trouble.
await pause(lease)
await trouble.end()
for (const reader of readers()) reader.calm()
const isFinished = await Promise.race([working.then(() => true), pause(GRACE, false, { ref: false })])
clearInterval(progress)
const seconds = Math.round((Date.now() - startedAt) / 1_000)
for (const reader of readers()) reader.end()
const crashes = servers.reduce((total, server) => total + server.crashes, 0)
await Promise.all(servers.map((server) => server.stop()))
await broker?.end()

witness.read()
const verdict = new Verdict(authors, witness)
verdict.judge()
report()
process.exit(isFinished && verdict.faults.length + crashes === 0 ? 0 : 1)

async function startServers(length) {
  const environment = {
    SEED: seed,
    STORE: store,
    BREAK: values.break,
    LEASE: values.lease,
    WITNESS: witness.folder,
  }
  const started = await Promise.all(
    Array.from({ length }, async (_, at) => {
      const settings = { ...environment, MERGE: at % 2 ? 'yes' : 'no', BROKER_PORT: String(broker?.port) }
      return new ServerProcess(await freePort(), settings, 'runs/server.js')
    }),
  )
  for (const server of started) server.onKill = (pid) => witness.onKill(pid)
  await Promise.all(started.map((server) => server.start()))
  return started
}

async function work() {
  for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
    const author = new Author(id, { seed, lease, ports })
    authors.push(author)
    await author.run()
  }
}

function report() {
  const { ends, faults } = verdict
  for (const text of firstOf(faults).slice(0, MAX_FAULTS)) console.error(text)
  if (faults.length > 0) console.error(trouble.history.join('\n'))
  const violations = {}
  for (const { fault } of faults) violations[fault] = (violations[fault] ?? 0) + 1
  console.table({
    runs: authors.reduce((total, { generations }) => total + generations.length, 0),
    seconds,
    'events of sources': witness.steps,
    'events received': verdict.sum(({ transcript }) => transcript.events),
    ...trouble.counts,
    'cut connections': verdict.sum(({ cuts }) => cuts),
    'responses 204': verdict.sum(({ refusals }) => refusals),
    gaps: verdict.sum(({ transcript }) => transcript.gaps),
    ...ends,
    'lost before the first event': witness.lostStarts,
    'longest time after lost in ms': witness.longest,
    crashes,
    violations: faults.length,
    ...violations,
  })
  console.log(faults.length + crashes === 0 ? 'Each run was received exactly once.' : 'NOT EXACT')
}

/** Returns a sentence for the first fault of each kind in each run. */
function firstOf(faults) {
  const first = new Map()
  for (const { fault, text } of faults) {
    const key = `${fault} of ${text.split(' ', 1)}`
    if (!first.has(key)) first.set(key, `${fault}: ${text}`)
  }
  return [...first.values()]
}
