/** Resolves with the next uncaught exception, which the test runner does not receive. */
export function nextUncaught(): Promise<Error> {
  return new Promise((resolve) => {
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const listener of before) process.on('uncaughtException', listener)
      resolve(error)
    })
  })
}
