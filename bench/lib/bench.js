import { CLIENT_CORE, SERVER_CORE, start } from './child.js'

/** Starts a server of one contender: a benchmark's `server.js`, which calls `serve`. */
export async function startServer(url, contender, { options = {}, nodeFlags = [], core = SERVER_CORE } = {}) {
  const args = [contender, JSON.stringify(options)]
  const child = start(url, { core, args, nodeFlags })
  return new Server(child, await child.ask('port'))
}

class Server {
  constructor(child, port) {
    this.child = child
    this.port = port
  }

  ask(name, argument) {
    return this.child.ask(name, argument)
  }

  /** Has one of the benchmark's phases done with the open streams. */
  run(name, argument) {
    return this.child.ask('phase', { name, ...argument })
  }

  /** The server's CPU time, in µs, while `work` is done: `cpu` is user and system, `user` alone. */
  async measure(work) {
    await this.child.ask('startMeasuring')
    await work()
    return this.child.ask('measured')
  }

  /** Resolves when the server has so many open streams: none is forgotten, none is left over. */
  async hasStreams(count) {
    for (let i = 0; i < 500; i++) {
      if ((await this.child.ask('streams')) === count) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`The server has ${await this.child.ask('streams')} streams, not ${count}.`)
  }

  stop() {
    return this.child.stop()
  }
}

/** Starts the process of the clients. */
export function startClients() {
  return start(new URL('./clients.js', import.meta.url), { core: CLIENT_CORE })
}

/**
 * Measures every contender in turn, and all of them again: A B C, C B A, B C A, … What disturbs a machine for a while
 * then disturbs all of them, and none always comes after the same other, whose garbage and caches it finds. Returns
 * the measurements by contender.
 */
export async function interleave(contenders, rounds, measure) {
  const measurements = new Map(contenders.map((contender) => [contender, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of inOrder(contenders, round)) {
      measurements.get(contender).push(await measure(contender))
    }
  }
  return measurements
}

/** The layout of its memory makes a process a tenth cheaper or dearer for as long as it runs: so many of each. */
export const FRESH_PROCESSES = 3

/** Adds the measurements of fresh processes to those of others. */
export function gather(all, fresh) {
  for (const [contender, measurements] of fresh)
    all.set(contender, [...(all.get(contender) ?? []), ...measurements])
}

function inOrder(contenders, round) {
  const first = (round >> 1) % contenders.length
  const rotated = [...contenders.slice(first), ...contenders.slice(0, first)]
  return round % 2 ? rotated.toReversed() : rotated
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * How a figure compares with that of another contender: the median over the rounds of the ratio within the round, so
 * that a machine that is slow for a while weighs on both sides.
 */
export function ratio(measurements, others, name) {
  return median(measurements.map((each, round) => each[name] / others[round][name]))
}

/** The median of each figure over measurements that have the same figures. */
export function medians(measurements) {
  const names = Object.keys(measurements[0])
  return Object.fromEntries(names.map((name) => [name, median(measurements.map((each) => each[name]))]))
}
