import { isPlain, isWhole, MAX_TIME } from '../check-options.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { jitter } from '../scheduler/jitter.ts'
import { turn } from '../scheduler/turn.ts'
import type { CloseReason } from './close-reason.ts'
import type { SseStream } from './stream.ts'

// How long a client whose stream is ended may take to read the end, in ms.
const END_GRACE = 1_000

/** How a client is refused. Times are in ms. */
export type Refusal =
  /**
   * Status from 201 to 599. An `EventSource` stops reconnecting: silently after 204, with an error after any other.
   * `retryAfter` is sent as the header `Retry-After`.
   */
  | { readonly status: number; readonly retryAfter?: number | undefined }
  /**
   * Reconnection time; each client gets a random time from this to twice this. Sent with status 200, because a browser stops
   * after any other. A request with `Prefer: handling=strict` (RFC 7240 4.4) gets a 503 with the header `Retry-After`.
   */
  | { readonly retry: number }

/** Returns a refusal whose values are valid, or undefined. */
export function refusalOf(value: unknown): Refusal | undefined {
  if (!isPlain(value)) return undefined
  const { status, retry, retryAfter } = value as { status?: number; retry?: number; retryAfter?: number }
  if (isWhole(retry, 1, MAX_TIME)) return { retry }
  const isTimeValid = retryAfter === undefined || isWhole(retryAfter, 1, MAX_TIME)
  return isWhole(status, 201, 599) && isTimeValid ? { status, retryAfter } : undefined
}

/**
 * Responds with a refusal. If the response headers were sent, ends the stream after everything queued, but without its
 * replay. A client that does not read is cut a second later.
 */
export function refuseStream(stream: SseStream, refusal: Refusal, reason: CloseReason): void {
  const { _connection: connection } = stream
  // A stream that is closing may still send its replay.
  if (!connection.isOpen) return
  if (connection.headers.refuse(refusal)) connection.destroy(reason)
  else endSoon(stream, refusal, reason)
}

function endSoon(stream: SseStream, refusal: Refusal, reason: CloseReason): void {
  const { _connection: connection } = stream
  turn.fanOutNow()
  const retry = 'retry' in refusal ? stream._frameOf({ retry: jitter(refusal.retry) }) : undefined
  // Not queued before, because the queue of a replay with what was sent meanwhile is dropped.
  stream._end(reason, undefined, retry)
  const deadline = new Deadline(END_GRACE, () => connection.destroy(reason))
  stream._addCloseTarget({ _streamClosed: () => deadline.cancel() })
}
