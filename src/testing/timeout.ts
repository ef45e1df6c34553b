import { between, MAX_TIME } from '../check-options.ts'

// Fake timers of a test must not hold the limits of its waiting.
const { setTimeout: setRealTimeout, clearTimeout: clearRealTimeout } = globalThis

/** What a limit of time may be. */
export const isTimeout = between(1, MAX_TIME)

/** Calls back after a time, unless the returned function was called before. */
export function startTimeout(ms: number, onLate: () => void): () => void {
  const timer = setRealTimeout(onLate, ms)
  return () => clearRealTimeout(timer)
}

/** Rejects with what `late` makes when the work is not done in time. */
export async function withTimeout<T>(ms: number, work: Promise<T>, late: () => Error): Promise<T> {
  let cancel = () => {}
  const limit = new Promise<never>((_, reject) => {
    cancel = startTimeout(ms, () => reject(late()))
  })
  return Promise.race([work, limit]).finally(cancel)
}
