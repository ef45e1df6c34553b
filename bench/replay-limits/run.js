import { setTimeout as sleep } from 'node:timers/promises'
import { buildSpillway } from '../lib/build.js'
import { rangesOf, startReplayFleet } from '../lib/replay-fleet.js'
import { fixed, printSetting, printTable, printTarget } from '../lib/report.js'

// What the replays of few clients cost: large events, an outage of the broker, and a quiet channel.

const MB = 1024 * 1024
const store = { recentEvents: 20 }
const [, , wanted] = process.argv
const PARTS = { large: measureLarge, outage: measureOutage, quiet: measureQuiet }

buildSpillway()
printSetting('replay-limits: large events, an outage, a quiet channel')
for (const [name, measure] of Object.entries(PARTS)) if (!wanted || name === wanted) await measure()

async function measureLarge() {
  const EVENTS = { count: 600, size: 50_000 }
  const RUNS = [
    ['Redis', 60],
    ['JetStream', 40],
  ]
  const rows = []
  const targets = []
  for (const [broker, clients] of RUNS) {
    const fleet = await startReplayFleet(broker, { ...EVENTS, store })
    await sleep(500)
    const calm = await fleet.measure(() => sleep(3_000))
    const starts = Array.from({ length: clients }, (_, i) => Math.floor((i * (EVENTS.count - 20)) / clients))
    const figures = await fleet.measure(async () => {
      return complete(fleet, { starts })
    })
    await fleet.stop()
    const { result, ended, rejected, published, missing, changes, slowConsumers, latency, bytes } = figures
    rows.push([
      `${broker}, ${clients} clients`,
      ended ?? `${result.complete} in ${result.seconds.toFixed(1)} s`,
      (bytes / EVENTS.count / EVENTS.size).toFixed(1),
      `${rejected} of ${published}`,
      figures.publish.toFixed(0),
      ...[calm.latency.p99, latency.p99].map(fixed(1)),
      missing,
      changes,
      slowConsumers,
      (figures.server.peakRss / MB).toFixed(0),
      result ? `${result.reconnects}, ${result.gaps}, ${result.disorder}` : '',
    ])
    targets.push([`${broker}: clients without their events`, clients - (result?.complete ?? 0), 0])
    targets.push([`${broker}: publishes rejected, live events missing`, rejected + missing, 0])
    targets.push([`${broker}: connections that the broker dropped`, slowConsumers + changes, 0])
  }
  console.log('large: clients at positions of their own, 600 events of 50 kB:\n')
  printTable(
    [
      '',
      'complete',
      'bytes / log',
      'rejected',
      'publish p99 ms',
      'p99 ms calm',
      'then',
      'live missing',
      'state changes',
      'dropped by the broker',
      'peak RSS MB',
      'reconnects, gaps, disorder',
    ],
    rows,
  )
  printTargets(targets)
}

async function measureOutage() {
  const CLIENTS = 1_000
  const EVENTS = { count: 3_000, size: 1_000 }
  const rows = []
  const targets = []
  for (const broker of ['Redis', 'JetStream']) {
    const fleet = await startReplayFleet(broker, { ...EVENTS, store })
    const { clients, server } = fleet
    await fleet.broker.stop()
    const starts = Array.from({ length: CLIENTS }, (_, i) => Math.floor((i * (EVENTS.count - 20)) / CLIENTS))
    await clients.ask('storm', { port: server.port, starts })
    await sleep(1_000)
    await clients.ask('close')
    const left = await server.run('fewerStreams', { count: 5, timeout: 10_000 })
    await fleet.broker.start()
    // The counters of the broker begin at 0. No client waits for anything.
    const figures = await fleet.measure(() => sleep(6_000))
    const counts = await fleet.broker.counts()
    const bytes = await fleet.broker.bytesOut()
    await fleet.stop()
    const requests = broker === 'Redis' ? rangesOf(counts) : counts.in
    rows.push([
      broker,
      left,
      Object.entries(counts)
        .map(([name, count]) => `${name} ${count}`)
        .join(', '),
      (bytes / MB).toFixed(1),
      `${figures.rejected} of ${figures.published}`,
      (figures.server.peakRss / MB).toFixed(0),
    ])
    if (broker === 'Redis') targets.push([`${broker}: range commands with no client waiting`, requests, 5])
    targets.push([`${broker}: MB from the broker with no client waiting`, bytes / MB, 2])
  }
  console.log(`outage: ${CLIENTS} clients connect and disconnect, then the broker is back:\n`)
  printTable(['', 'streams left', 'requests', 'MB from the broker', 'rejected', 'peak RSS MB'], rows)
  printTargets(targets)
}

async function measureQuiet() {
  const CLIENTS = 20
  // Each channel has two events, and its client has missed the second one.
  const CHANNELS = 25_000
  const EVENTS = { count: 50_000, size: 200, channels: CHANNELS }
  const rows = []
  for (const broker of ['Redis', 'JetStream']) {
    const fleet = await startReplayFleet(broker, { ...EVENTS, store })
    await sleep(500)
    const figures = await fleet.measure(async () => {
      const starts = Array.from({ length: CLIENTS }, (_, i) => Math.floor((i * CHANNELS) / CLIENTS))
      return complete(fleet, { starts, channels: CHANNELS })
    })
    await fleet.stop()
    const { result, ended } = figures
    rows.push([
      broker,
      ended ?? `${result.complete} in ${result.seconds.toFixed(2)} s`,
      result?.gaps ?? '',
      (figures.bytes / MB / CLIENTS).toFixed(2),
      broker === 'Redis' ? rangesOf(figures.counts) : figures.counts.in,
      figures.latency.p99.toFixed(1),
    ])
  }
  console.log(
    `quiet: ${CLIENTS} clients of quiet channels, each with one missed event and 25 000 others in between:\n`,
  )
  printTable(['', 'complete', 'gaps', 'MB from the broker each', 'requests', 'p99 ms of a live event'], rows)
}

/** Connects clients, and waits until they have received what they missed. */
async function complete({ clients, server }, storm) {
  const startedAt = performance.now()
  await clients.ask('storm', { port: server.port, ...storm })
  const result = await clients.ask('complete', { timeout: 20_000 })
  return { ...result, seconds: (performance.now() - startedAt) / 1000 }
}

function printTargets(targets) {
  for (const [text, value, limit] of targets) printTarget(text, value, limit)
  console.log()
}
