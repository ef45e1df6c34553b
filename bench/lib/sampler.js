import { readFileSync } from 'node:fs'
import { cpuOf } from './measured-broker.js'

// In ms. A share of CPU is the mean over this time.
const INTERVAL = 500

/** Watches the CPU time and the memory of processes. `pids` has a function for each name that returns a process id. */
export class Sampler {
  #pids
  #timer
  #last
  #limit
  #onLimit
  #figures

  /** `onLimit` is called with the name of the first process that exceeds `limit` bytes of resident memory. */
  constructor(pids, { limit = Number.POSITIVE_INFINITY, onLimit = () => {} } = {}) {
    this.#pids = pids
    this.#limit = limit
    this.#onLimit = onLimit
  }

  start() {
    this.#figures = Object.fromEntries(Object.keys(this.#pids).map((name) => [name, new Figures()]))
    this.#last = this.#readCpu()
    this.#timer = setInterval(() => this.#sample(), INTERVAL)
  }

  /** Returns for each process `peakCpu` and `cpu` as shares of a core, and `peakRss` in bytes. */
  stop() {
    clearInterval(this.#timer)
    return this.#figures
  }

  #readCpu() {
    const entries = Object.entries(this.#pids).map(([name, pid]) => [name, attempt(() => cpuOf(pid()))])
    return { at: performance.now(), ...Object.fromEntries(entries) }
  }

  #sample() {
    const now = this.#readCpu()
    const time = (now.at - this.#last.at) * 1000
    for (const [name, pid] of Object.entries(this.#pids)) {
      const rss = attempt(() => rssOf(pid()))
      this.#figures[name].add((now[name] - this.#last[name]) / time, rss)
      if (rss <= this.#limit) continue
      this.#limit = Number.POSITIVE_INFINITY
      this.#onLimit(name)
    }
    this.#last = now
  }
}

class Figures {
  peakCpu = 0
  peakRss = 0
  #sum = 0
  #count = 0

  get cpu() {
    return this.#sum / Math.max(1, this.#count)
  }

  add(share, rss) {
    if (Number.isNaN(share)) return
    this.#sum += share
    this.#count += 1
    this.peakCpu = Math.max(this.peakCpu, share)
    this.peakRss = Math.max(this.peakRss, rss)
  }
}

// A process may have ended.
function attempt(read) {
  try {
    return read()
  } catch {
    return Number.NaN
  }
}

/** Returns the resident memory of a process in bytes. */
function rssOf(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024
}
