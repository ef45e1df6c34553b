import { Deadline } from '../scheduler/deadline.ts'
import type { OwnedRun } from './owned-run.ts'

// How long the store may take to accept the ends of runs, in ms.
const END_TIMEOUT = 2_000

/**
 * Resolves when runs have ended. Runs that have not ended after `grace` ms end as `lost`. If the store does not accept
 * that, because it is down, other processes end them.
 */
export async function endRuns(
  runs: readonly OwnedRun[],
  { grace, closeTimeout }: { readonly grace: number; readonly closeTimeout: number },
): Promise<void> {
  const deadlines = [
    new Deadline(grace, () => {
      for (const run of runs) run.stop('lost')
    }),
    new Deadline(grace + closeTimeout + END_TIMEOUT, () => {
      for (const run of runs) run.stopAppending()
    }),
  ]
  await Promise.all(runs.map(({ ended }) => ended))
  for (const deadline of deadlines) deadline.cancel()
}
