import type { RunStore } from '../stores/run-store.ts'
import { Abandonment } from './abandonment.ts'
import type { OwnedRun } from './owned-run.ts'
import type { RunLimitSettings } from './run-options.ts'

/** Stops a run that takes too long, or is abandoned. Returns a function that cancels both. */
export function limitRun(
  run: OwnedRun,
  store: RunStore,
  { maxAge, abandonAfter }: RunLimitSettings,
): () => void {
  const timer = setTimeout(() => run.stop(), maxAge)
  timer.unref?.()
  const isWatched = () => store.isWatched(run.id, run.epoch)
  const abandonment =
    abandonAfter > 0 ? new Abandonment(abandonAfter, isWatched, () => run.stop()) : undefined
  return () => {
    clearTimeout(timer)
    abandonment?.end()
  }
}
