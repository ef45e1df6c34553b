import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'

// Runs the tests again and again beside busy processes, one for each core, until a run fails. A test that depends on
// time fails sooner here than on an idle machine. Arguments are passed to Vitest, for example the name of a file:
// `npm run test:stress -- --runs 5 test/hub`.

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '20' } },
  allowPositionals: true,
})
const runs = Number(values.runs)
const root = join(import.meta.dirname, '..')
const vitest = join(createRequire(import.meta.url).resolve('vitest/package.json'), '../vitest.mjs')
const projects = ['unit', 'properties', 'bulk', 'heap', 'net', 'brokers', 'browsers'].flatMap((name) => [
  '--project',
  name,
])
const folder = mkdtempSync(join(tmpdir(), 'spillway-stress-'))

// A busy process exits by itself if this one was killed.
const loop = `while (process.ppid === ${process.pid});`
const busy = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ['--eval', loop], { stdio: 'ignore' }),
)
/** @type {import('node:child_process').ChildProcess | undefined} */
let tests
process.once('exit', () => {
  for (const child of busy) child.kill('SIGKILL')
  tests?.kill()
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

for (let run = 1; run <= runs; run++) {
  const startedAt = performance.now()
  const { isPassed, output } = await runTests()
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`Run ${run} of ${runs} ${isPassed ? 'passed' : 'failed'} after ${seconds} s`)
  if (isPassed) continue
  console.log(failuresOf(readReport()) || output)
  process.exit(1)
}
process.exit()

/** Runs the tests once. */
async function runTests() {
  const report = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile()}`]
  rmSync(reportFile(), { force: true })
  const child = spawn(
    process.execPath,
    [vitest, 'run', '--retry=0', ...projects, ...report, ...positionals],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  tests = child
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  tests = undefined
  return { isPassed: code === 0, output }
}

function reportFile() {
  return join(folder, 'report.json')
}

/** Returns the report of the last run, or undefined if Vitest wrote none. */
function readReport() {
  try {
    return JSON.parse(readFileSync(reportFile(), 'utf8'))
  } catch {
    return undefined
  }
}

/**
 * Returns the failed tests, each with its message. The result is empty if something outside of the tests failed.
 *
 * @param {{ testResults: { name: string, message: string, status: string, assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[] } | undefined} report
 */
function failuresOf(report) {
  const failures = (report?.testResults ?? []).flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name)
    const describe = (/** @type {string} */ text) =>
      text
        .split('\n')
        .filter((line) => !line.includes('node_modules'))
        .join('\n')
    const failed = assertionResults.filter((test) => test.status === 'failed')
    if (failed.length === 0) return status === 'failed' ? [`${file}\n${describe(message)}`] : []
    return failed.map(
      ({ fullName, failureMessages }) => `${file} > ${fullName}\n${failureMessages.map(describe).join('\n')}`,
    )
  })
  return failures.join('\n\n')
}
