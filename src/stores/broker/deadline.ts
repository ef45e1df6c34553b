import { SseError } from '../../errors.ts'

/** Rejects with `SseError` `ERR_SSE_STORE` when it is not done by the deadline, on the clock of the system in ms. */
export function withDeadline<T>(deadline: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(timeoutError()), Math.max(0, deadline - Date.now()))
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** What is said when an answer does not come in time. */
export function timeoutError(cause?: unknown): SseError {
  const options = cause === undefined ? undefined : { cause }
  return new SseError('ERR_SSE_STORE', 'The broker did not answer in time.', options)
}
