import { Runs } from 'spillway'

// On `globalThis` for the same reason as the hub, so that all routes of the process share the runs.
const shared = globalThis as typeof globalThis & { runs?: Runs }
shared.runs ??= new Runs()

export const runs = shared.runs
