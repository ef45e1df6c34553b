import { SseError } from '../../errors.ts'
import type { Waiters } from '../../waiters.ts'
import { within } from '../within.ts'
import type { RedisConnection } from './connection.ts'

// The server did not do it, and may soon: it starts, or another one takes over.
const TRANSIENT = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY)\b/
// No answer of the server, but what the clients say about a connection that is lost before anything was sent.
const UNSENT = /offline|isn't writeable|Connection is closed|Socket closed unexpectedly before sending/i
const REFUSED = /^[A-Z]+ /

/** Whether a server answered with an error. */
export function isRefusal(error: Error): boolean {
  return REFUSED.test(error.message)
}

/** Whether a command that failed was surely not done, and may be sent again. */
export function isUndone(error: Error): boolean {
  return TRANSIENT.test(error.message) || UNSENT.test(error.message)
}

export interface Attempt {
  /** On the clock of the system, in ms. */
  readonly deadline: number
  /** Whether doing it twice is doing it once. */
  readonly isRepeatable: boolean
}

/**
 * Does something on a connection until it is done. Rejects with `SseError` `ERR_SSE_LOG` when the server refuses it, when
 * it is not known whether it was done, and at the deadline.
 */
export async function attempt<T>(
  connection: RedisConnection,
  changed: Waiters,
  { deadline, isRepeatable }: Attempt,
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    await within(
      deadline,
      changed.until(() => connection.isReady),
    )
    try {
      return await within(deadline, work())
    } catch (error) {
      if (error instanceof SseError) throw error
      const isAgain = isUndone(error as Error) || (isRepeatable && !isRefusal(error as Error))
      if (!isAgain) throw failed(error as Error)
      // The connection says in the next turn that it is lost.
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

function failed(cause: Error): SseError {
  const certainty = isRefusal(cause) ? 'refused it' : 'was lost, and may have it or not'
  return new SseError('ERR_SSE_LOG', `The broker ${certainty}: ${cause.message}`, { cause })
}

/** What no second try can mend. */
export function unusable(cause: Error): SseError {
  return new SseError('ERR_SSE_LOG', `The broker cannot be used: ${cause.message}`, { cause })
}
