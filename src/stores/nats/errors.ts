/** The connection was lost before the response. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'

  constructor() {
    super('the connection was lost')
  }
}

/** A request had no response in time. */
export class RequestTimeout extends Error {
  override readonly name = 'TimeoutError'

  constructor() {
    super('no response was received in time')
  }
}

/** Stored messages were not received: they were removed meanwhile, or the broker is slow. */
export class NoMessages extends Error {
  override readonly name = 'NoMessages'

  constructor(cause?: unknown) {
    super('no message was received', { cause })
  }
}

interface Failure {
  readonly name?: string
  readonly status?: unknown
  readonly cause?: { readonly name?: string }
}

/** Whether a retry may succeed. Compares names, because a program may hold the classes of several versions. */
export function isTransient(error: unknown): boolean {
  const { name = '', status } = Object(error) as Failure
  // A stream that was deleted is created again.
  const names = ['ConnectionLost', 'NoMessages', 'TimeoutError', 'StreamNotFoundError']
  return names.includes(name) || status === 503 || hasNoResponders(error)
}

/** Whether no server responds on a subject: there is no JetStream, or no stream with that subject. */
export function hasNoResponders(error: unknown): boolean {
  const { name, cause } = Object(error) as Failure
  // For an account without JetStream, the same class has the server's error as its cause.
  return name === 'JetStreamNotEnabled' && cause?.name !== 'JetStreamApiError'
}
