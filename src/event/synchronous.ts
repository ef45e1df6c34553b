import { SseError, type SseErrorCode } from '../errors.ts'
import { isPromise } from './source.ts'

/**
 * Throws an `SseError` if a function of the application has returned a promise, for example `serialize must return a
 * string, not a promise.` The rejection of the promise is ignored, because an unhandled one would end the process.
 */
export function checkSynchronous(
  returned: unknown,
  code: SseErrorCode,
  name: string,
  expected: string,
): void {
  if (!isPromise(returned)) return
  Promise.resolve(returned).catch(() => {})
  throw new SseError(code, `${name} must return ${expected}, not a promise.`)
}
