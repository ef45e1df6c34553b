import { printTable } from '../lib/report.js'
import { SCENARIOS } from './scenarios.js'
import { Trial } from './trial.js'

/**
 * Runs sessions on networks that let a stream through, so many scenarios at the same time. Prints what they did, and
 * returns the number of faults.
 */
export async function measureHealthy(redis, sessions, parallel) {
  const names = Object.keys(SCENARIOS)
  const rows = []
  const queue = names.entries()
  const run = async () => {
    for (const [i, name] of queue) {
      const count = Math.floor(sessions / names.length) + (i < sessions % names.length ? 1 : 0)
      rows[i] = { name, count, ...(await runScenario(redis, SCENARIOS[name], count)) }
    }
  }
  await Promise.all(Array.from({ length: parallel }, run))
  rows.push(rows.reduce((sum, row) => add(sum, row), { name: 'all' }))
  console.log('Sessions on networks that let a stream through. A fallback is wrong:\n')
  printTable(
    ['', 'sessions', 'wrong fallbacks', 'not exact', 'streams', 'raced by a poll', 'padded', 'silent'],
    rows.map(({ name, count, wrong, inexact, stream, poll, padded, silent }) => [
      name,
      ...[count, wrong, inexact, stream, poll, padded, silent],
    ]),
  )
  const { wrong, inexact } = rows.at(-1)
  return wrong + inexact
}

function add(sum, row) {
  const keys = Object.keys(row).filter((key) => key !== 'name')
  return { ...sum, ...Object.fromEntries(keys.map((key) => [key, (sum[key] ?? 0) + row[key]])) }
}

async function runScenario(redis, scenario, count) {
  const { missed = 0, interval = 100, connecting, play } = scenario
  const trial = await Trial.open({ redis, ...scenario })
  try {
    await trial.publish(missed)
    const origin = await trial.origin()
    await trial.connect(Array.from({ length: count }, (_, i) => `${origin}/events/${i}`))
    await connecting?.(trial)
    await trial.connected()
    trial.publishEach(interval)
    await play(trial)
    return summary(await trial.finish())
  } finally {
    await trial.end()
  }
}

function summary(reports) {
  const wrong = reports.filter(({ transports }) => transports.some(({ transport }) => transport === 'json'))
  const inexact = reports.filter(({ isExact }) => !isExact)
  for (const report of new Set([...wrong, ...inexact])) console.error(JSON.stringify(report))
  const sum = (name) => reports.reduce((total, { requests }) => total + requests[name], 0)
  return {
    wrong: wrong.length,
    inexact: inexact.length,
    stream: sum('stream'),
    poll: sum('poll'),
    padded: sum('padded'),
    silent: sum('silent'),
  }
}
