import { setTimeout as sleep } from 'node:timers/promises'
import { startClients, startResumingClients, startServer } from './bench.js'
import { CLIENT_CORE } from './child.js'
import { launchBroker } from './measured-broker.js'
import { Sampler } from './sampler.js'

const MODULE = new URL('./serve-replays.js', import.meta.url)
const MB = 1024 * 1024
// A server that exceeds this limit is stopped, because the machine has other work. The bench then reports the figures
// so far.
const MEMORY_LIMIT = 4096 * MB
// A publisher sends a timed event to the live clients at this interval, and the server publishes one itself, in ms.
const LIVE_INTERVAL = 20
const OWN_INTERVAL = 100
const LIVE_CLIENTS = 5
// How long the live clients may take to receive the last event, in ms.
const LIVE_GRACE = 10_000

/**
 * Starts a broker, a publisher that has filled the log, and a server whose clients resume. The server keeps only the
 * newest `store.recentEvents` in memory. Its live clients are in a process of their own.
 */
export async function startReplayFleet(name, { count, size, channels = 1, store = {}, stream, nodeFlags }) {
  const broker = await launchBroker(name)
  const options = { url: broker.url, store, stream }
  const publisher = await startServer(MODULE, name, { options, core: CLIENT_CORE })
  const ids = await publisher.run('fill', { count, size, channels })
  const server = await startServer(MODULE, name, { options, nodeFlags })
  const clients = await startResumingClients()
  await clients.ask('fill', { ids, channels })
  const fleet = new ReplayFleet({ broker, publisher, server, clients, ids, live: await startClients() })
  await fleet.openLive()
  return fleet
}

class ReplayFleet {
  /** The reason for which the server has ended, or undefined. */
  ended
  #sampler

  constructor(parts) {
    Object.assign(this, parts)
    const { broker, server } = parts
    this.#sampler = new Sampler(
      { broker: broker.pid, server: () => server.child.pid },
      { limit: MEMORY_LIMIT, onLimit: (name) => this.#end(name) },
    )
  }

  async openLive() {
    const options = { port: this.server.port, path: '/?channel=live', isTimed: true, isNumbered: true }
    await this.live.ask('open', { count: LIVE_CLIENTS, ...options })
  }

  /** Measures the latency of live events, the publishes, the broker and the processes during `work`. */
  async measure(work) {
    await this.live.ask('takeLatencies')
    const before = await this.#counters()
    this.#sampler.start()
    await this.publisher.run('startPublishing', { channel: 'live', interval: LIVE_INTERVAL })
    await this.#ofServer(() => this.server.run('startPublishing', { channel: 'own', interval: OWN_INTERVAL }))
    const result = await work().catch((error) => this.#failed(error))
    const own = await this.#ofServer(() => this.server.run('stopPublishing'))
    const live = await this.publisher.run('stopPublishing')
    this.#published += live.published
    const missing = await this.#awaitLive()
    const after = await this.#counters()
    return {
      result,
      seconds: (after.at - before.at) / 1000,
      latency: await this.live.ask('takeLatencies'),
      missing,
      published: live.published + (own?.published ?? 0),
      rejected: live.rejected + (own?.rejected ?? 0),
      publish: own?.p99 ?? Number.NaN,
      ...differences(before, after),
      ...this.#sampler.stop(),
      disconnected: await this.live.ask('closed'),
      reads: after.reads,
      ended: this.ended,
    }
  }

  async stop() {
    await Promise.all([this.server, this.publisher].map((each) => each.stop()))
    await Promise.all([this.clients, this.live].map((each) => each.stop()))
    await this.broker.end()
  }

  #published = 0

  // Resolves with the number of live events that have not arrived.
  async #awaitLive() {
    const missing = async () => 1_000_000 + this.#published - (await this.live.ask('newest'))
    for (let waited = 0; waited < LIVE_GRACE && (await missing()) > 0; waited += 20) await sleep(20)
    return missing()
  }

  async #counters() {
    const { broker } = this
    const report = await this.#ofServer(() => this.server.run('report'))
    return {
      at: performance.now(),
      counts: await broker.counts(),
      bytes: await broker.bytesOut(),
      slowConsumers: await broker.slowConsumers(),
      changes: report?.changes ?? 0,
      reads: report?.reads,
    }
  }

  // Resolves with undefined if the server has ended.
  async #ofServer(ask) {
    if (this.ended) return undefined
    return ask().catch((error) => this.#failed(error))
  }

  #failed(error) {
    this.ended ??= String(error.message).split('\n')[0]
    return undefined
  }

  #end(name) {
    if (name !== 'server') return
    this.ended = `ended at ${MEMORY_LIMIT / MB} MB`
    void this.server.stop()
  }
}

function differences(before, after) {
  const counts = Object.entries(after.counts).map(([name, count]) => [
    name,
    count - (before.counts[name] ?? 0),
  ])
  const { bytes, slowConsumers, changes } = after
  return {
    counts: Object.fromEntries(counts),
    bytes: bytes - before.bytes,
    slowConsumers: slowConsumers - before.slowConsumers,
    changes: Math.max(0, changes - before.changes),
  }
}

/** Returns how many commands of Redis read a range, which Lua scripts may do too. */
export function rangesOf(counts) {
  const names = ['xrange', 'xrevrange', 'eval', 'evalsha', 'eval_ro', 'evalsha_ro', 'fcall', 'fcall_ro']
  return names.reduce((sum, name) => sum + (counts[name] ?? 0), 0)
}
