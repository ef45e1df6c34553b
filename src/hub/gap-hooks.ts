import type { OnGap } from '../stream/gap.ts'
import type { SubscribeOptions } from './subscribe-options.ts'

/** Returns a hook for each options object. A function that several of them share is called once. */
export function hooksOf(options: Iterable<SubscribeOptions>): OnGap[] {
  const called = new Set<unknown>()
  const isFirst = (hook: unknown) => hook !== undefined && called.size < called.add(hook).size
  // The `onGap` functions that returned events. These are sent instead of each snapshot of the same options.
  const answered = new Set<unknown>()
  return Array.from(
    options,
    ({ onGap, snapshot }): OnGap =>
      async (gap, stream) => {
        const events = isFirst(onGap) && (await onGap?.(gap, stream))
        if (events) answered.add(onGap)
        if (answered.has(onGap)) return events || undefined
        return isFirst(snapshot) ? snapshot?.(stream, gap) : undefined
      },
  )
}
