import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { onTestFinished } from 'vitest'
import type { DiagnosticsMessages } from '../../src/metrics/diagnostics-messages.ts'

/** Records the messages of a diagnostics channel until the end of the test. */
export function watch<Name extends keyof DiagnosticsMessages>(name: Name): DiagnosticsMessages[Name][] {
  const messages: DiagnosticsMessages[Name][] = []
  listen(name, (message) => messages.push(message))
  return messages
}

/** Subscribes to a diagnostics channel until the end of the test. */
export function listen<Name extends keyof DiagnosticsMessages>(
  name: Name,
  listener: (message: DiagnosticsMessages[Name]) => void,
): void {
  subscribe(name, listener as (message: unknown) => void)
  onTestFinished(() => void unsubscribe(name, listener as (message: unknown) => void))
}
