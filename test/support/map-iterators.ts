import { onTestFinished, vi } from 'vitest'

/**
 * Returns a function that returns how many iterators of all Maps were created since. A new iterator visits all keys that
 * were deleted at the front, so that one for each key is quadratic.
 */
export function countMapIterators(): () => number {
  const spies = (['keys', 'values', 'entries', Symbol.iterator] as const).map((name) =>
    vi.spyOn(Map.prototype, name as 'keys'),
  )
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore()
  })
  return () => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0)
}
