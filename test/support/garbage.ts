import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Collects all garbage of this thread at once. */
export const collectGarbage: () => void = runInNewContext('gc')

/**
 * Collects all garbage, and returns how many of some objects are left. V8 may keep the last one that was used, so that
 * a test with many objects should permit one.
 */
export async function countHeld(objects: ReadonlyArray<WeakRef<object>>): Promise<number> {
  let held = objects.length
  for (let round = 0; round < 10 && held > 0; round++) {
    await setImmediate()
    collectGarbage()
    held = objects.filter((each) => each.deref() !== undefined).length
  }
  return held
}
