/** Returns work that notes its failures, and a function that returns the last one. */
export function noteFailures<Arguments extends unknown[], T>(work: (...args: Arguments) => Promise<T>) {
  let last: unknown
  const noted = (...args: Arguments) =>
    work(...args).catch((error: unknown) => {
      last = error
      throw error
    })
  return { noted, failure: () => last }
}
