import { Deadline } from '../../scheduler/deadline.ts'
import { timeoutError } from './errors.ts'

/** Rejects with `SseError` `ERR_SSE_STORE` if the work is not done by the deadline, in ms of `performance.now()`. */
export function withDeadline<T>(deadline: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = new Deadline(timeUntil(deadline), () => reject(timeoutError()))
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}

/**
 * Does work with a signal that is aborted after a time in ms. Its reason is an `SseError` `ERR_SSE_STORE`, whose cause
 * `failure` returns. The signal is also aborted when the work fails, because a part of it may continue.
 */
export async function withSignal<T>(
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
  failure: () => unknown = () => undefined,
): Promise<T> {
  const ending = new AbortController()
  const timer = new Deadline(ms, () => ending.abort(timeoutError(failure())))
  try {
    return await work(ending.signal)
  } catch (error) {
    ending.abort(error)
    throw error
  } finally {
    timer.cancel()
  }
}

/** Returns the time until a deadline in ms, at least 1, so that a response that waits in the socket is read before. */
export function timeUntil(deadline: number): number {
  return Math.max(1, deadline - performance.now())
}
