import { describe, type SseError } from '../errors.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { SseStream } from '../stream/stream.ts'

// The reconnection time of a client after an overload, in ms. Each client gets a random time from this to twice this.
const OVERLOAD_RETRY = 5_000

/**
 * Ends a stream whose missed events or snapshot could not be sent, and reports the error. It is not reported after
 * `ERR_SSE_OVERLOAD`, because the client keeps its last event id and resumes later.
 */
export function endStream(stream: SseStream, failure: unknown, report: (error: unknown) => void): void {
  if ((failure as Partial<SseError> | undefined)?.code === 'ERR_SSE_OVERLOAD') closeForNow(stream, failure)
  else destroy(stream, failure, report)
}

function destroy(stream: SseStream, failure: unknown, report: (error: unknown) => void): void {
  const error = failure || new Error(`A replay has failed with ${describe(failure)}.`)
  // The failure may be a consequence of the abort.
  const isAborted = stream.closed && stream._hasSignal
  stream.destroy(error)
  if (!isAborted) report(error)
}

function closeForNow(stream: SseStream, error: unknown): void {
  const retry = stream._frameOf({ retry: jitter(OVERLOAD_RETRY) })
  // `close` may have sent a time of its own.
  if (!stream.closed) stream._connection.enqueueOverBound(retry)
  stream._end('replay', error)
}
