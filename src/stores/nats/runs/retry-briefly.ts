import { withSignal } from '../../broker/deadline.ts'
import { noteFailures } from '../../broker/note-failures.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import { retry } from '../retry.ts'

// How long an attempt is retried, in ms.
const TIMEOUT = 5_000

/** Retries for a few seconds, and then rejects with `SseError` `ERR_SSE_STORE`, whose cause is the last failure. */
export function retryBriefly<T>(
  connection: ConnectionMonitor,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { noted, failure } = noteFailures(attempt)
  return withSignal(TIMEOUT, (signal) => retry(connection, () => noted(signal), signal), failure)
}
