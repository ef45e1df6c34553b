import { timeoutError } from './errors.ts'

/** Rejects with `SseError` `ERR_SSE_STORE` if the work is not done by the deadline, in ms of `Date.now()`. */
export function withDeadline<T>(deadline: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(timeoutError()), Math.max(0, deadline - Date.now()))
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
