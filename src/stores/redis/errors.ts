import { SseError } from '../../errors.ts'

// The server did not do it, and may soon: it starts, has no room for a client, or another one takes over. Redis before
// version 7 says it behind a prefix where a script was refused.
const TRANSIENT =
  /^(ERR Error running script .*[\s-])?(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY)\b|^ERR max number of clients/
// No answer of the server, but what the clients say about a connection that is lost before anything was sent.
const NOT_SENT = /offline|isn't writeable|Connection is closed|Socket closed unexpectedly before sending/i
const REJECTED = /^[A-Z]+ /
// Wrong credentials, missing rights, a key that holds something else, a server that does not know the command.
const PERMANENT = /^(WRONGPASS|NOAUTH|NOPERM|NOPROTO|DENIED|WRONGTYPE|ERR)\b/

/** Whether a server answered with an error. */
export function isRejection(error: Error): boolean {
  return REJECTED.test(error.message)
}

/** Whether a command that failed was surely not done, and may be sent again. */
export function wasNotExecuted(error: Error): boolean {
  return TRANSIENT.test(error.message) || NOT_SENT.test(error.message)
}

/** Whether no second try can mend it. */
export function isPermanent(error: Error): boolean {
  return PERMANENT.test(error.message) && !wasNotExecuted(error)
}

export function commandError(cause: Error): SseError {
  const certainty = isRejection(cause) ? 'refused it' : 'was lost, and may have it or not'
  return new SseError('ERR_SSE_STORE', `The broker ${certainty}: ${cause.message}`, { cause })
}

export function unusableError(cause: Error): SseError {
  return new SseError('ERR_SSE_STORE', `The broker cannot be used: ${cause.message}`, { cause })
}

export function closedError(): SseError {
  return new SseError('ERR_SSE_STORE', 'The log is closed.')
}
