import os from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * The load of the machine and of this process at one moment.
 *
 * @typedef {object} Sample
 * @property {number} at When the sample was taken, in ms since 1970.
 * @property {number} cpu The load of all processors since the previous sample, in percent.
 * @property {number} memory Memory in use on the machine, in bytes.
 * @property {number} memoryTotal Memory of the machine, in bytes.
 * @property {number} delay The median delay of the event loop since the previous sample, in ms.
 * @property {number} longestDelay The longest delay of the event loop since the previous sample, in ms.
 */

// Node measures the time between two ticks of a timer, so every value includes the resolution.
const RESOLUTION = 10
const loopDelay = monitorEventLoopDelay({ resolution: RESOLUTION })
loopDelay.enable()

let processorsBefore = processorTimes()

/**
 * Returns a sample of the time since the previous one.
 *
 * @returns {Sample}
 */
export function takeSample() {
  const processors = processorTimes()
  const total = processors.total - processorsBefore.total
  const idle = processors.idle - processorsBefore.idle
  processorsBefore = processors

  const sample = {
    at: Date.now(),
    cpu: total > 0 ? round(100 * (1 - idle / total)) : 0,
    memory: os.totalmem() - os.freemem(),
    memoryTotal: os.totalmem(),
    delay: lateness(loopDelay.percentile(50)),
    longestDelay: lateness(loopDelay.max),
  }
  loopDelay.reset()
  return sample
}

function processorTimes() {
  const times = os.cpus().map((processor) => processor.times)
  const idle = times.reduce((sum, time) => sum + time.idle, 0)
  return {
    idle,
    total: idle + times.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0),
  }
}

/** @param {number} interval The time between two ticks, in nanoseconds. */
function lateness(interval) {
  return round(Math.max(0, interval / 1e6 - RESOLUTION))
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100
}
