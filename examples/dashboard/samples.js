import os from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/**
 * What the machine and this process were doing at one moment.
 *
 * @typedef {object} Sample
 * @property {number} at When it was taken, in ms since 1970.
 * @property {number} cpu How busy all processors were since the sample before, in percent.
 * @property {number} memory Memory in use on the machine, in bytes.
 * @property {number} memoryTotal Memory of the machine, in bytes.
 * @property {number} delay How late the event loop typically was since the sample before (median), in ms.
 * @property {number} longestDelay How late it was at worst, in ms.
 */

// Node measures from one tick of this timer to the next, so the resolution is part of every value.
const RESOLUTION = 10
const loopDelay = monitorEventLoopDelay({ resolution: RESOLUTION })
loopDelay.enable()

let processorsBefore = processorTimes()

/**
 * Takes a sample of the time since the last one.
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

/** @param {number} interval From one tick to the next, in nanoseconds. */
function lateness(interval) {
  return round(Math.max(0, interval / 1e6 - RESOLUTION))
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100
}
