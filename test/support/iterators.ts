import { onTestFinished, vi } from 'vitest'

/**
 * Returns a function that returns how many iterators of all Maps and Sets were created since. A new iterator visits all
 * keys that were deleted at the front, so that one for each key is quadratic.
 */
export function countIterators(): () => number {
  const spies = [Map.prototype, Set.prototype].flatMap((prototype) =>
    (['keys', 'values', 'entries', Symbol.iterator] as const).map((name) =>
      vi.spyOn(prototype as Map<unknown, unknown>, name as 'keys'),
    ),
  )
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore()
  })
  return () => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
}
