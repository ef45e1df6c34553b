import { SseError } from '../../errors.ts'

/** Returns the error of a command whose connection was lost before the response. */
export function commandError(cause: unknown): SseError {
  return storeError('The connection to the broker was lost; the event may or may not have been stored', cause)
}

/** Returns the error of a command that the broker rejected. */
export function rejectedError(cause: unknown): SseError {
  return storeError('The broker rejected the command', cause)
}

/** Returns the error of a broker that no retry makes usable, for example because of wrong credentials. */
export function unusableError(cause: unknown): SseError {
  return cause instanceof SseError ? cause : storeError('The broker cannot be used', cause)
}

export function closedError(): SseError {
  return new SseError('ERR_SSE_STORE', 'The connection to the broker is closed.')
}

export function timeoutError(cause?: unknown): SseError {
  const options = cause === undefined ? undefined : { cause }
  return new SseError('ERR_SSE_STORE', 'The broker did not respond in time.', options)
}

function storeError(message: string, cause: unknown): SseError {
  return new SseError('ERR_SSE_STORE', `${message}: ${(Object(cause) as Error).message}`, { cause })
}
