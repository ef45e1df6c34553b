import { setTimeout as pause } from 'node:timers/promises'
import { Child } from './child.js'
import { descriptorLimit, descriptorsOf, residentPartsOf } from './proc.js'

// The share of its descriptors that a process of clients uses.
const USED_SHARE = 0.75
// How many descriptors the server needs beside those of its streams.
const OTHER_DESCRIPTORS = 200
// How often the opening of the streams is checked, in ms.
const STEP = 100

/** A server process, and as many client processes as their descriptors require. */
export class Soak {
  /** What the server has measured since all streams were open. */
  samples = []
  #options
  #onSample
  #children = []
  #server
  #port
  // The last counts of each client process.
  #counts = []
  #openedAt = Number.POSITIVE_INFINITY
  // Rejects when one of the processes ends.
  #failed = deferred()

  constructor(options, onSample) {
    this.#options = options
    this.#onSample = onSample
  }

  /**
   * Resolves after the given time. Rejects if a process ends before, or if the server may not have so many descriptors.
   */
  async run() {
    const most = descriptorLimit() - OTHER_DESCRIPTORS
    const { streams } = this.#options
    if (streams > most)
      throw new Error(`The server may have descriptors for ${most} streams, not for ${streams}.`)
    await Promise.race([this.#work(), this.#failed.promise])
  }

  /** Ends all processes. */
  stop() {
    for (const child of this.#children) child.stop()
  }

  /** The sums of the counts of all clients. */
  get clients() {
    const sums = {}
    for (const { totals } of this.#counts)
      for (const [name, count] of Object.entries(totals)) sums[name] = (sums[name] ?? 0) + count
    return sums
  }

  async #work() {
    const { minutes } = this.#options
    this.#server = this.#start('server.js', this.#options, (message) => this.#onServer(message))
    await until(() => this.#port !== undefined)
    const shares = sharesOf(this.#options)
    this.#counts = shares.map(() => ({ totals: {}, isComplete: false }))
    shares.forEach((share, i) => {
      const settings = { ...this.#options, ...share, port: this.#port }
      this.#start('crowd.js', settings, (counts) => {
        this.#counts[i] = counts
      })
    })
    await until(() => this.#counts.every(({ isComplete }) => isComplete))
    this.#openedAt = Date.now()
    await pause(minutes * 60_000)
  }

  #start(file, settings, onMessage) {
    const child = new Child(file, settings, onMessage, file === 'server.js' ? this.#options.nodeFlags : [])
    this.#children.push(child)
    child.ended().catch(this.#failed.reject)
    return child
  }

  #onServer({ port, sample }) {
    this.#port ??= port
    if (!sample || sample.time < this.#openedAt) return
    const time = (sample.time - this.#openedAt) / 1_000
    const { pid } = this.#server
    const ofProcess = { descriptors: descriptorsOf(pid), ...residentPartsOf(pid) }
    this.samples.push({ ...sample, ...ofProcess, time, clients: this.clients })
    this.#onSample(this)
  }
}

function deferred() {
  let reject
  const promise = new Promise((_, onRejected) => {
    reject = onRejected
  })
  promise.catch(() => {})
  return { promise, reject }
}

async function until(isDone) {
  while (!isDone()) await pause(STEP)
}

// A client needs one descriptor.
function sharesOf({ streams, slow, churn }) {
  const count = Math.ceil(streams / (USED_SHARE * descriptorLimit()))
  const shareOf = (total, i) => Math.floor((total * (i + 1)) / count) - Math.floor((total * i) / count)
  return Array.from({ length: count }, (_, i) => ({
    streams: shareOf(streams, i),
    slow: shareOf(slow, i),
    churn: churn / count,
  }))
}
