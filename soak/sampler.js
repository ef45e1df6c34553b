import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'

const NS_PER_MS = 1e6
// The resolution of the histogram, in ms, is a part of each delay.
const RESOLUTION = 10

/**
 * Takes samples of this process. All sizes are in bytes. The parent reads the rest, so that this costs the process
 * less.
 */
export class Sampler {
  #delay = monitorEventLoopDelay({ resolution: RESOLUTION })
  #cpu = process.cpuUsage()
  #at = performance.now()
  // Since the start of the process.
  #collections = { major: 0, minor: 0 }

  constructor() {
    this.#delay.enable()
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) this.#collections[kindOf(entry)] += 1
    })
    observer.observe({ entryTypes: ['gc'] })
  }

  /** Returns the memory and the handles now, and the delays and the CPU time since the last sample. */
  take() {
    const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
    return {
      ...{ time: Date.now(), rss, heapUsed, heapTotal, external, arrayBuffers },
      spaces: spaceSizes(),
      ...this.#collections,
      handles: process.getActiveResourcesInfo().length,
      ...this.#takeDelay(),
      cpu: this.#takeCpu(),
    }
  }

  #takeDelay() {
    const delay = this.#delay
    const [p50, p99] = [50, 99].map((percent) => lateness(delay.percentile(percent)))
    const figures = { delayP50: p50, delayP99: p99, delayMax: lateness(delay.max) }
    delay.reset()
    return figures
  }

  // Returns the share of a core that the process has used.
  #takeCpu() {
    const { user, system } = process.cpuUsage(this.#cpu)
    const share = (user + system) / 1_000 / (performance.now() - this.#at)
    this.#cpu = process.cpuUsage()
    this.#at = performance.now()
    return share
  }
}

// Weak callbacks and steps of incremental marking are parts of a major collection.
function kindOf({ detail }) {
  const { NODE_PERFORMANCE_GC_MAJOR } = constants
  return detail.kind === NODE_PERFORMANCE_GC_MAJOR ? 'major' : 'minor'
}

function lateness(nanoseconds) {
  return Math.max(0, nanoseconds / NS_PER_MS - RESOLUTION)
}

// Returns the resident and the used memory of each space of V8.
function spaceSizes() {
  const spaces = getHeapSpaceStatistics()
  return Object.fromEntries(
    spaces.map(({ space_name, physical_space_size, space_used_size }) => [
      space_name,
      { resident: physical_space_size, used: space_used_size },
    ]),
  )
}
