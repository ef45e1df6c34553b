import type { Ask } from './stream-reads.ts'

/** Returns work that notes its failures, and a function that returns the last one. */
export function noteFailures<T>(work: (ask: Ask) => Promise<T>) {
  let last: unknown
  const noted = (ask: Ask) =>
    work(ask).catch((error: unknown) => {
      last = error
      throw error
    })
  return { noted, failure: () => last }
}
