import { between, MAX_TIME } from '../check-options.ts'

// Keep the real timers, so that fake timers of a test do not stop its timeouts.
const { setTimeout: setRealTimeout, clearTimeout: clearRealTimeout } = globalThis

/** Checks a timeout in ms. */
export const isTimeout = between(1, MAX_TIME)

/** Calls `onTimeout` after `ms`, unless the returned function is called first. */
export function startTimeout(ms: number, onTimeout: () => void): () => void {
  const timer = setRealTimeout(onTimeout, ms)
  return () => clearRealTimeout(timer)
}

/** Resolves as `work` does. Rejects with the error that `timeoutError` creates if `work` takes longer than `ms`. */
export async function withTimeout<T>(ms: number, work: Promise<T>, timeoutError: () => Error): Promise<T> {
  let cancel = () => {}
  const timeout = new Promise<never>((_, reject) => {
    cancel = startTimeout(ms, () => reject(timeoutError()))
  })
  return Promise.race([work, timeout]).finally(cancel)
}
