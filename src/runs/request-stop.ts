import type { RunState, RunStore } from '../stores/run-store.ts'
import type { RunLogs } from './run-logs.ts'

// How often a stop is requested again, in ms.
const INTERVAL = 1_000

export interface RequestStopContext {
  readonly store: RunStore
  readonly logs: RunLogs
  /** Aborted when this process is shut down. */
  readonly signal: AbortSignal
}

/** Requests the end of a run from its owner, and resolves when it has ended. Rejects with the error of the store. */
export async function requestStop(
  { store, logs, signal }: RequestStopContext,
  id: string,
  { owner, epoch }: RunState,
): Promise<void> {
  const request = async () => store.requestStop(owner, id, epoch)
  // Ends the wait if the request is rejected. Otherwise it would count as a subscriber until the end of the run.
  const waiting = new AbortController()
  // A listener, because Node.js 20 holds each result of `AbortSignal.any` as long as its sources.
  const onAbort = () => waiting.abort(signal.reason)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  const timer = setInterval(() => request().catch(() => {}), INTERVAL)
  try {
    // Awaited together, so that no rejection is unhandled.
    await Promise.all([logs.whenEnded(id, waiting.signal), request()])
  } finally {
    clearInterval(timer)
    signal.removeEventListener('abort', onAbort)
    waiting.abort()
  }
}
