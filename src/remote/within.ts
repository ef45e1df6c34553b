import { SseError } from '../errors.ts'

/** Rejects with `SseError` `ERR_SSE_LOG` when it is not done by the deadline, on the clock of the system in ms. */
export function within<T>(deadline: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new SseError('ERR_SSE_LOG', 'The broker did not answer in time.'))
    const timer = setTimeout(late, Math.max(0, deadline - Date.now()))
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
