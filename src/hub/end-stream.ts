import type { SseError } from '../errors.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { SseStream } from '../stream/stream.ts'

// When a client reconnects that was closed because of an overload, in ms: after this time to twice this time.
const OVERLOAD_RETRY = 5_000

/**
 * Ends a stream whose missed events could not be read. After `ERR_SSE_OVERLOAD` the client loses nothing, because it keeps
 * its last event id and resumes later.
 */
export function endStream(stream: SseStream, error: unknown): void {
  if ((error as Partial<SseError> | undefined)?.code === 'ERR_SSE_OVERLOAD') closeForNow(stream, error)
  else stream.destroy(error)
}

function closeForNow(stream: SseStream, error: unknown): void {
  const retry = stream._frameOf({ retry: jitter(OVERLOAD_RETRY) })
  // `close` may have sent a time of its own.
  if (!stream.closed) stream._connection.enqueueOverBound(retry)
  stream._end('replay', error)
}
