import { jitter } from '../../scheduler/jitter.ts'
import { closedError, unusableError } from '../broker/errors.ts'
import { asPermanent } from '../permanent-error.ts'
import type { ConnectionMonitor } from './connection-monitor.ts'
import { isTransient } from './errors.ts'

// The delay before an attempt, in ms. It doubles each time.
const RETRY_DELAY = 50
const MAX_RETRY_DELAY = 2_000

/**
 * Retries until a signal is aborted, and then rejects with its reason. Continues after an outage of any length. Jitter
 * spreads the retries of the processes after it. Rejects with `SseError` `ERR_SSE_STORE` if no retry can succeed.
 */
export async function retry<T>(
  connection: ConnectionMonitor,
  attempt: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  for (let wait = RETRY_DELAY; ; wait = Math.min(2 * wait, MAX_RETRY_DELAY)) {
    signal.throwIfAborted()
    if (connection.isClosed) throw asPermanent(closedError())
    try {
      if (connection.isUp) return await connection.whileConnected(attempt, undefined, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!isTransient(error)) throw asPermanent(unusableError(error))
    }
    await connection.whenSettled(signal)
    await connection.delay(jitter(wait), signal)
  }
}
