import { buildSpillway } from '../lib/build.js'
import { CLIENT_CORE, SERVER_CORE, start } from '../lib/child.js'
import { printSetting, printTable, printTarget } from '../lib/report.js'

const STREAMS = 10_000
const SETTINGS = [
  { spread: 0, retry: 4_000, grace: 20_000 },
  { spread: 10_000, retry: 2_000, grace: 20_000 },
]
// The window of the reconnects is divided into this many parts.
const PARTS = 20
const NAMES = { due: 'reconnects as planned', real: 'reconnects as served' }

buildSpillway()
printSetting(`shutdown: ${STREAMS} streams of a hub move to another process`)
const rows = []
for (const options of SETTINGS) rows.push(await measure(options))
printTable(
  ['', ...SETTINGS.map(({ spread }) => `spread ${spread} ms`)],
  [
    ['time until everything is closed, s', ...rows.map(({ time }) => (time / 1000).toFixed(2))],
    ['longest block of the event loop, CPU ms', ...rows.map(({ cpu }) => cpu.toFixed(1))],
    ['the same by the clock, ms', ...rows.map(({ block }) => block.toFixed(1))],
    ['the same while nothing happens, ms', ...rows.map(({ idle }) => idle.toFixed(1))],
    ['streams that were cut', ...rows.map(({ cut }) => cut)],
    ['responses other than 200', ...rows.map(({ failed }) => failed)],
    ...['due', 'real'].flatMap((kind) => {
      const of = (figure, digits) => rows.map((row) => row[kind][figure].toFixed(digits))
      return [
        [
          `${NAMES[kind]}: from the first to the last, s`,
          ...of('window', 0).map((ms) => (ms / 1000).toFixed(1)),
        ],
        [`${NAMES[kind]}: most in a twentieth of it / mean`, ...of('most', 2)],
        [`${NAMES[kind]}: fewest in a twentieth of it / mean`, ...of('fewest', 2)],
      ]
    }),
  ],
)
printTarget('longest block of the event loop in CPU ms', Math.max(...rows.map(({ cpu }) => cpu)), 50)
const worst = Math.max(...rows.map(({ time }, i) => time / SETTINGS[i].grace))
printTarget('time / grace', worst, 1)

/** Opens the streams, shuts their server down, and waits until all clients have reconnected to another one. */
async function measure(options) {
  const serve = (core, settings) =>
    start(new URL('./server.js', import.meta.url), { core, args: [JSON.stringify(settings)] })
  const server = serve(SERVER_CORE, options)
  const next = serve(CLIENT_CORE, {})
  const clients = start(new URL('./clients.js', import.meta.url), { core: CLIENT_CORE })
  await clients.ask('open', { port: await server.ask('port'), next: await next.ask('port'), count: STREAMS })
  while ((await server.ask('streams')) < STREAMS) await new Promise((resolve) => setTimeout(resolve, 50))
  const idle = await server.ask('idle')
  const { time, block, cpu } = await server.ask('shutDown')
  const { cut, failed, due, reconnects } = await clients.ask('reconnected', { count: STREAMS })
  await Promise.all([server, next, clients].map((each) => each.stop()))
  return { time, block, cpu, idle: idle.block, cut, failed, due: evenness(due), real: evenness(reconnects) }
}

function evenness(times) {
  const first = Math.min(...times)
  const window = Math.max(...times) - first
  const counts = Array(PARTS).fill(0)
  for (const time of times.map((each) => each - first))
    counts[Math.min(PARTS - 1, Math.floor((time / window) * PARTS))] += 1
  const mean = times.length / PARTS
  return { window, most: Math.max(...counts) / mean, fewest: Math.min(...counts) / mean }
}
