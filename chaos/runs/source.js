import { setTimeout as pause } from 'node:timers/promises'
import { tokenOf } from './plan.js'

/** The message of the error of a source that fails as planned. */
export const FAILURE = 'As planned.'

/** The source of a run. `log` is that of the witness. */
export async function* sourceOf(plan, generation, log, signal) {
  const source = log.open(plan.id, generation)
  try {
    for (let n = 1; n <= plan.length; n++) {
      await pause(delayBefore(plan, n), undefined, plan.isDeaf ? {} : { signal })
      log.step(source)
      yield { event: 'text', data: tokenOf(plan, generation, n) }
    }
    if (plan.isFailing) throw new Error(FAILURE)
  } finally {
    log.close(source)
  }
}

// The signal ends a silence in any case, because closing the source would take too long.
function delayBefore({ interval, burst, silentAt, silence, isDeaf }, n) {
  if (n === silentAt && !isDeaf) return silence
  return n % burst === 0 ? interval * burst : 0
}
