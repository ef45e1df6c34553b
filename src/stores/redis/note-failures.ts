import type { Ask } from './stream-reads.ts'

/** Returns work that is retried, and a function that returns the last error of it. */
export function noteFailures<T>(work: (ask: Ask) => Promise<T>) {
  let last: unknown
  const noted = (ask: Ask) =>
    work(ask).catch((error: unknown) => {
      last = error
      throw error
    })
  return { noted, failure: () => last }
}
