// The server did not execute the command, but a retry there or at another server may succeed. For example, it is
// loading, has no room for a client, is failing over, or does not have the key. Before version 7, Redis puts a prefix
// before the error of a script.
const TRANSIENT =
  /^(ERR Error running script .*[\s-])?(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MOVED|ASK)\b|^ERR max number of clients/
// The server rejects writes, because its disk or its memory is full, or it has too few replicas.
const CANNOT_WRITE = /^(ERR Error running script .*[\s-])?(MISCONF|OOM|NOREPLICAS)\b/
// Errors of the client packages for a command that was not sent, because the connection was lost before.
const NOT_SENT = /offline|isn't writeable|Connection is closed|Socket closed unexpectedly before sending/i
const REJECTED = /^[A-Z]+ /
// Wrong credentials, missing rights, a key of another type, or an unknown command.
const PERMANENT = /^(WRONGPASS|NOAUTH|NOPERM|NOPROTO|DENIED|WRONGTYPE|ERR)\b/

/** Whether the server responded with an error. */
export function isRejection(error: Error): boolean {
  return REJECTED.test(error.message)
}

/** Whether a failed command was certainly not executed, so that a retry is safe. */
export function wasNotExecuted(error: Error): boolean {
  return error instanceof MissingStreamError || TRANSIENT.test(error.message) || NOT_SENT.test(error.message)
}

/** Whether the server rejects all writes for now, and still serves reads. */
export function cannotWrite(error: Error): boolean {
  return CANNOT_WRITE.test(error.message)
}

/** Whether no retry can succeed. */
export function isPermanent(error: Error): boolean {
  return PERMANENT.test(error.message) && !wasNotExecuted(error) && !cannotWrite(error)
}

/** Reports that an entry was not appended, because its stream had been deleted. */
export class MissingStreamError extends Error {
  constructor() {
    super('The stream was deleted.')
  }
}

/**
 * Reports that the server lacks entries that this process has received, for example because it is no longer the master.
 */
export class StaleServerError extends Error {
  constructor() {
    super('The server does not have the newest entries.')
  }
}
