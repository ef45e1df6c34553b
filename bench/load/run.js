import { execFile } from 'node:child_process'
import { loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, isPinned, SERVER_CORE, start } from '../lib/child.js'
import { printSetting, printTable } from '../lib/report.js'

const CONTENDERS = ['spillway', 'better-sse', 'hono']
const MAIN = fileURLToPath(new URL('../node_modules/spillway/dist/esm/cli/main.js', import.meta.url))
// Arguments replace these, for example `npm run load -- --streams 1000`.
const OPTIONS = {
  '--streams': '300',
  '--rate': '100/s',
  '--duration': '15s',
  '--churn': '10/s',
  '--retry': '500ms',
  '--publish-url': '/publish',
  '--publish-rate': '10/s',
}

const options = Object.entries({ ...OPTIONS, ...given(process.argv.slice(2)) }).flat()
buildSpillway()
printSetting('load: 3 servers under npx spillway load, which cuts connections at random moments')
console.log(`npx spillway load http://127.0.0.1:<port>/ ${options.join(' ')}\n`)
const reports = []
for (const name of CONTENDERS) reports.push({ name, load: loadavg()[0], ...(await measure(name)) })
printTable(
  ['', ...CONTENDERS],
  [
    row('streams opened per second', ({ streams }) => streams.reachedRate?.toFixed(0)),
    row('events received', ({ events }) => events.received),
    row('delay p50, ms', ({ delays }) => delays.live?.p50.toFixed(2)),
    row('delay p99, ms', ({ delays }) => delays.live?.p99.toFixed(2)),
    row('delay max, ms', ({ delays }) => delays.live?.max.toFixed(2)),
    row('response headers p99, ms', ({ connections }) => connections.headers?.p99.toFixed(2)),
    row('connections cut', ({ connections }) => connections.cuts),
    row('resumes, exact', ({ resumes }) => resumes?.exact),
    row('resumes, events lost silently', ({ resumes }) => resumes?.silent),
    row('reconnections without an id', ({ connections }) => connections.reconnectsWithoutId),
    row('events lost', ({ sequence }) => sequence?.lost),
    row('duplicates', ({ sequence }) => sequence?.duplicates),
    row('out of order', ({ sequence }) => sequence?.outOfOrder),
    row('worker busy', ({ workers }) => `${Math.round(workers[0].utilization * 100)} %`),
    row('load average before', ({ load }) => load.toFixed(1)),
  ],
)
for (const { name, refusal } of reports) if (refusal) console.log(`${name}: ${refusal}`)

function row(title, read) {
  return [title, ...reports.map((report) => read(report) ?? 'refused')]
}

async function measure(name) {
  const server = start(new URL('./server.js', import.meta.url), { core: SERVER_CORE, args: [name] })
  try {
    const url = `http://127.0.0.1:${await server.ask('port')}/`
    const command = [process.execPath, MAIN, 'load', url, '--json', ...options]
    const [file, ...args] = isPinned() ? ['taskset', '-c', String(CLIENT_CORE), ...command] : command
    const { stdout } = await promisify(execFile)(file, args, { maxBuffer: 2 ** 24 })
    return JSON.parse(stdout)
  } finally {
    await server.stop()
  }
}

/** Returns flags with their values. */
function given(args) {
  return Object.fromEntries(args.flatMap((arg, i) => (i % 2 === 0 ? [[arg, args[i + 1]]] : [])))
}
