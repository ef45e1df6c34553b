import { SseError } from '../../errors.ts'

// The server did not do it, and may soon: it starts, has no room for a client, or another one takes over. Redis before
// version 7 says it behind a prefix where a script was refused.
const TRANSIENT =
  /^(ERR Error running script .*[\s-])?(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY)\b|^ERR max number of clients/
// No answer of the server, but what the clients say about a connection that is lost before anything was sent.
const UNSENT = /offline|isn't writeable|Connection is closed|Socket closed unexpectedly before sending/i
const REFUSED = /^[A-Z]+ /
// Wrong credentials, missing rights, a key that holds something else, a server that does not know the command.
const FINAL = /^(WRONGPASS|NOAUTH|NOPERM|NOPROTO|DENIED|WRONGTYPE|ERR)\b/

/** Whether a server answered with an error. */
export function isRefusal(error: Error): boolean {
  return REFUSED.test(error.message)
}

/** Whether a command that failed was surely not done, and may be sent again. */
export function isUndone(error: Error): boolean {
  return TRANSIENT.test(error.message) || UNSENT.test(error.message)
}

/** Whether no second try can mend it. */
export function isFinal(error: Error): boolean {
  return FINAL.test(error.message) && !isUndone(error)
}

export function failed(cause: Error): SseError {
  const certainty = isRefusal(cause) ? 'refused it' : 'was lost, and may have it or not'
  return new SseError('ERR_SSE_LOG', `The broker ${certainty}: ${cause.message}`, { cause })
}

export function unusable(cause: Error): SseError {
  return new SseError('ERR_SSE_LOG', `The broker cannot be used: ${cause.message}`, { cause })
}

export function gone(): SseError {
  return new SseError('ERR_SSE_LOG', 'The log is closed.')
}
