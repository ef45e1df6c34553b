import { FRESH_PROCESSES, gather, interleave, medians, ratio, startClients, startServer } from './bench.js'
import { fixed, printTable, printTarget } from './report.js'

// A process that sleeps between tokens has cold caches, so the figures with a timer vary more and need more rounds.
const MODES = [
  { pace: 'turn', rounds: 6, perTurn: 1, count: 10_000, title: 'one token a turn of the event loop' },
  { pace: 'timer', rounds: 8, perTurn: 1, count: 300, title: 'one token a millisecond, by a timer' },
  { pace: 'turn', rounds: 6, perTurn: 5, count: 20_000, title: 'five tokens a turn' },
]
const METHODS = { send: 'one call of send per token', generator: 'from an async generator' }

/** Sends tokens to one client of each contender, and compares the contenders with `base`. */
export async function compareTokens(url, contenders, { base, target }) {
  const cases = MODES.flatMap((mode) =>
    Object.keys(METHODS).map((method) => ({ mode, method, measured: new Map() })),
  )
  const clients = await startClients()
  for (let i = 0; i < FRESH_PROCESSES; i++) {
    const started = contenders.map(async (name) => [name, await startServer(url, name)])
    const servers = Object.fromEntries(await Promise.all(started))
    for (const { mode, method, measured } of cases) {
      const measure = (contender) => measureTokens(servers[contender], clients, mode, method)
      await interleave(contenders, 2, measure)
      gather(measured, await interleave(contenders, mode.rounds, measure))
    }
    for (const server of Object.values(servers)) await server.stop()
  }
  await clients.stop()
  for (const { mode, method, measured } of cases) {
    console.log(`${mode.title}, ${METHODS[method]}:\n`)
    report(measured, base, target)
  }
}

function report(measured, base, target) {
  const ratioOf = (contender) => ratio(measured.get(contender), measured.get(base), 'cpu')
  const rows = [...measured].map(([contender, rounds]) => {
    const { cpu, user } = medians(rounds)
    return [contender, ...[cpu, user, ratioOf(contender)].map(fixed(2))]
  })
  printTable(['µs a token', 'CPU', 'user', `/ ${base}`], rows)
  printTarget(`CPU of ours / ${base}`, ratioOf('spillway'), target)
  console.log()
}

async function measureTokens(server, clients, { pace, perTurn, count }, method) {
  await clients.ask('open', { port: server.port, count: 1 })
  await server.hasStreams(1)
  const { cpu, user } = await server.measure(async () => {
    await server.run('tokens', { pace, perTurn, count, method })
    await clients.ask('receive', { events: count })
  })
  await server.run('end')
  await clients.ask('close')
  await server.hasStreams(0)
  return { cpu: cpu / count, user: user / count }
}
