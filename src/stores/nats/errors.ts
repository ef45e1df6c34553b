/** A failure after which a retry may succeed, because the connection was lost, or stored messages were not received. */
export class TransientError extends Error {
  override readonly name = 'TransientError'
}

interface Failure {
  readonly name?: string
  readonly status?: unknown
  readonly code?: unknown
  readonly cause?: { readonly name?: string }
}

const NO_STORAGE = 10047
// The account has as many consumers as it may have, until a process removes one.
const NO_CONSUMER = 10026

/** Whether a retry may succeed. Compares names, because a program may hold the classes of several versions. */
export function isTransient(error: unknown): boolean {
  const { name = '', status, code } = Object(error) as Failure
  // A stream that was deleted is created again.
  const names = ['TransientError', 'TimeoutError', 'StreamNotFoundError']
  const isTemporary = status === 503 || code === NO_CONSUMER || names.includes(name)
  return isTemporary || hasNoResponders(error) || hasNoStorage(error)
}

/**
 * Whether the server has no room for a stream. A server that was started on a full disk has not restored its streams,
 * until it is restarted.
 */
export function hasNoStorage(error: unknown): boolean {
  return (Object(error) as Failure).code === NO_STORAGE
}

/** Whether no server responds on a subject, because there is no JetStream, or no stream with that subject. */
export function hasNoResponders(error: unknown): boolean {
  const { name, cause } = Object(error) as Failure
  // For an account without JetStream, the same class has the server's error as its cause.
  return name === 'JetStreamNotEnabled' && cause?.name !== 'JetStreamApiError'
}
