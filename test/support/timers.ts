import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { nextTurn } from './streams.ts'

/** Returns how many of the timers that `work` has started are still running. Timers of the test runner do not count. */
export async function countTimersOf(work: () => Promise<unknown>): Promise<number> {
  const isOfWork = new AsyncLocalStorage<boolean>()
  const timers = new Set<number>()
  const hook = createHook({
    init(id, type) {
      if (type === 'Timeout' && isOfWork.getStore()) timers.add(id)
    },
    destroy: (id) => void timers.delete(id),
  }).enable()
  await isOfWork.run(true, work)
  // Node reports the end of a timer in the next turn.
  for (let turn = 0; turn < 2; turn++) await nextTurn()
  hook.disable()
  return timers.size
}
