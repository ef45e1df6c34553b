import { CLIENT_CORE, SERVER_CORE, start } from './child.js'

/** Starts a server process of a contender. Its module is the `server.js` of a benchmark, which calls `serve`. */
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

  /** Runs a phase of the benchmark with the open streams. */
  run(name, argument) {
    return this.child.ask('phase', { name, ...argument })
  }

  /** Returns the server's CPU time during `work`, in µs. `cpu` is the sum of user and system time. */
  async measure(work) {
    await this.child.ask('startMeasuring')
    await work()
    return this.child.ask('measured')
  }

  /** Resolves when the server has exactly `count` open streams. Rejects after five seconds. */
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

/** Starts the client process. */
export function startClients() {
  return start(new URL('./clients.js', import.meta.url), { core: CLIENT_CORE })
}

/** Starts a process of clients that resume, each at a position of its own. */
export function startResumingClients() {
  return start(new URL('./resuming-clients.js', import.meta.url), { core: CLIENT_CORE })
}

/**
 * Measures every contender in each round, in the order A B C, C B A, B C A, … A temporary disturbance of the machine
 * then affects all contenders. No contender always runs after the same other one. Returns the measurements by
 * contender.
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

/** The number of processes per contender. The memory layout of a process changes its cost by up to a tenth. */
export const FRESH_PROCESSES = 3

/** Adds the measurements of new processes to those of earlier ones. */
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
 * Returns the ratio of a figure to that of another contender. It is the median of the ratios of all rounds, so that a
 * temporarily slow machine affects both figures.
 */
export function ratio(measurements, others, name) {
  return median(measurements.map((each, round) => each[name] / others[round][name]))
}

/** Returns the median of each figure of the measurements. */
export function medians(measurements) {
  const names = Object.keys(measurements[0])
  return Object.fromEntries(names.map((name) => [name, median(measurements.map((each) => each[name]))]))
}
