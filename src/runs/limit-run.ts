import type { RunStore } from '../stores/run-store.ts'
import { Abandonment } from './abandonment.ts'
import type { OwnedRun } from './owned-run.ts'
import type { RunLimitSettings } from './run-options.ts'

/** Stops a run that takes too long, or is abandoned. Returns functions that cancel both. */
export function limitRun(
  run: OwnedRun,
  store: RunStore,
  { maxAge, abandonAfter }: RunLimitSettings,
): Array<() => void> {
  const timer = setTimeout(() => run.stop(), maxAge)
  timer.unref?.()
  const ends = [() => clearTimeout(timer)]
  if (abandonAfter === 0) return ends
  const isWatched = () => store.isWatched(run.id, run.epoch)
  const abandonment = new Abandonment(abandonAfter, isWatched, () => run.stop())
  return [...ends, () => abandonment.end()]
}
