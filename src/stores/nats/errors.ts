import { SseError } from '../../errors.ts'

/** The connection went while an answer was awaited. */
export class ConnectionLost extends Error {
  override readonly name = 'LinkLost'

  constructor() {
    super('the connection was lost')
  }
}

/** Messages that were there did not come: they were removed, or the broker is slow. */
export class NoMessages extends Error {
  override readonly name = 'NothingCame'

  constructor(cause?: unknown) {
    super('no message came', { cause })
  }
}

interface Failure {
  readonly name?: string
  readonly status?: unknown
  readonly cause?: { readonly name?: string }
}

/**
 * Whether the same may go well a moment later: nobody answers, for now. By names, because a program may hold the
 * classes of several versions.
 */
export function isTransient(error: unknown): boolean {
  const { name, status } = Object(error) as Failure
  const isOurs = name === 'LinkLost' || name === 'NothingCame'
  // A stream that is deleted is created again.
  const isPassing = name === 'TimeoutError' || name === 'StreamNotFoundError' || status === 503
  return isOurs || isPassing || hasNoResponders(error)
}

/** Whether nobody serves a subject: no JetStream, or no stream with it. */
export function hasNoResponders(error: unknown): boolean {
  const { name, cause } = Object(error) as Failure
  // An account without JetStream is said in the same class, with the server's answer for a cause.
  return name === 'JetStreamNotEnabled' && cause?.name !== 'JetStreamApiError'
}

export function unusableError(error: unknown): SseError {
  if (error instanceof SseError) return error
  const { message } = Object(error) as Error
  return new SseError('ERR_SSE_STORE', `The broker cannot be used: ${message}`, { cause: error })
}

export function rejectedError(error: unknown): SseError {
  const { message } = Object(error) as Error
  return new SseError('ERR_SSE_STORE', `The broker refused it: ${message}`, { cause: error })
}

export function closedError(): SseError {
  return new SseError('ERR_SSE_STORE', 'The connection to the broker is closed.')
}
