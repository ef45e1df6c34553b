import { clock } from '../scheduler/clock.ts'
import { turn } from '../scheduler/turn.ts'
import type { CloseReason } from './close-reason.ts'
import type { SseStream } from './stream.ts'

// How long the end waits for a replay, in ms.
const CLOSE_GRACE = 5_000

/**
 * Ends a stream after everything queued and after its replay, with a reconnection time in ms if there is one. Throws
 * `SseError` `ERR_SSE_RETRY`.
 */
export function closeStream(stream: SseStream, reason: CloseReason, retry: number | undefined): void {
  turn.fanOutNow()
  if (stream.closed) return
  stream._positions?._beforeClose()
  const { _connection: connection } = stream
  if (retry !== undefined) connection.enqueueOverBound(stream._frameOf({ retry }))
  stream._markClosed(reason)
  if (connection.holds > 0) connection.endBy(clock.now + CLOSE_GRACE)
  else connection.end()
}
