import { onTestFinished } from 'vitest'

/** Returns an array of the values of a process event, which reach no other listener during the test. */
export function valuesOf(event: 'unhandledRejection' | 'uncaughtException' | 'warning'): unknown[] {
  const values: unknown[] = []
  const listeners = process.listeners(event as never)
  process.removeAllListeners(event).on(event, (value) => values.push(value))
  onTestFinished(() => {
    process.removeAllListeners(event)
    for (const listener of listeners) process.on(event, listener as () => void)
  })
  return values
}
