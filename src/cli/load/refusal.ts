import type { WorkerLoad } from './worker-load.ts'

/** Limits of the load of a worker. Above them, it measures itself instead of the server. */
export interface LoadLimits {
  /** Between 0 and 1. */
  readonly utilization: number
  /** In ms. */
  readonly delay: number
}

/** Returns the reason why durations are not reported. Undefined if all workers were fast enough. */
export function refusalOf(
  loads: readonly WorkerLoad[],
  limits: LoadLimits,
  lateness = 0,
): string | undefined {
  for (const [index, load] of loads.entries()) {
    const cause = causeOf(load, limits)
    if (cause)
      return `Worker ${index + 1} of ${loads.length} could not keep up: ${cause}. ${advice(loads.length)}`
  }
  if (lateness <= limits.delay) return undefined
  return `Probes were begun ${lateness.toFixed(0)} ms late (p99), because the process that publishes them could not keep up. Use a lower --publish-rate.`
}

function causeOf({ utilization, loopDelay, ownDelay }: WorkerLoad, limits: LoadLimits): string | undefined {
  if (utilization > limits.utilization) return `its core was ${(utilization * 100).toFixed(0)} % busy`
  if (loopDelay > limits.delay) return `its timers were ${loopDelay.toFixed(0)} ms late (p99)`
  if (ownDelay > limits.delay) return `events waited ${ownDelay.toFixed(0)} ms in it (p99)`
  return undefined
}

function advice(workers: number): string {
  return `Use --workers ${workers * 2} on a machine with enough free cores, or fewer streams.`
}
