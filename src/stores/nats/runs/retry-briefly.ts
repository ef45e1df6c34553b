import { Deadline } from '../../../scheduler/deadline.ts'
import { timeoutError } from '../../broker/errors.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import { retry } from '../retry.ts'

// How long an attempt is retried, in ms.
const TIMEOUT = 5_000

/** Retries for a few seconds, and then rejects with `SseError` `ERR_SSE_STORE`, whose cause is the last failure. */
export async function retryBriefly<T>(
  connection: ConnectionMonitor,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  let failure: unknown
  const deadline = new Deadline(TIMEOUT, () => abort.abort(timeoutError(failure)))
  const noted = () =>
    attempt(abort.signal).catch((error) => {
      failure = error
      throw error
    })
  return retry(connection, noted, abort.signal).finally(() => deadline.cancel())
}
