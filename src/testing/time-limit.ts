// Fake timers of a test must not hold the limits of its waiting.
const { setTimeout: setRealTimeout, clearTimeout: clearRealTimeout } = globalThis

/** Calls back after a time, unless the returned function was called before. */
export function limitTime(ms: number, onLate: () => void): () => void {
  const timer = setRealTimeout(onLate, ms)
  return () => clearRealTimeout(timer)
}
