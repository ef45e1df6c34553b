import { between, type Check, checkOptions, isPlain, MAX_TIME } from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import { Deadline } from '../scheduler/deadline.ts'
import { jitter } from '../scheduler/jitter.ts'
import { turn } from '../scheduler/turn.ts'
import type { CloseReason } from './close-reason.ts'
import type { SseStream } from './stream.ts'

// How long a client whose stream is ended may take to read the end, in ms.
const END_GRACE = 1_000

/** How a client is refused: with `status`, or with `retry`. Times are in ms. */
export type Refusal =
  /**
   * Status from 201 to 599. An `EventSource` stops reconnecting: silently after 204, with an error after any other.
   * `retryAfter` is sent as the header `Retry-After`.
   */
  | { readonly status: number; readonly retryAfter?: number | undefined; readonly retry?: undefined }
  /**
   * Reconnection time; each client gets a random time from this to twice this. Sent with status 200, because a browser
   * stops after any other. A request with `Prefer: handling=strict` (RFC 7240 4.4), or with another method than GET and
   * HEAD, gets a 503 with the header `Retry-After`.
   */
  | { readonly retry: number; readonly status?: undefined; readonly retryAfter?: undefined }

const CHECKS: Readonly<Record<string, Check>> = {
  status: between(201, 599),
  retryAfter: between(1, MAX_TIME),
  retry: between(1, MAX_TIME),
}

/** Returns the values that a refusal has. Throws `SseError` `ERR_SSE_OPTION`. */
export function refusalOf(value: unknown): Refusal {
  const given = isPlain(value) ? (checkOptions(value, CHECKS) as Partial<Refusal>) : {}
  const names = Object.keys(given)
  // A value beside `retry` would be ignored.
  if (given.retry === undefined ? given.status : names.length === 1) return given
  const actual = isPlain(value) ? `{${names.join(', ')}}` : describe(value)
  const message = `A refusal must be { status }, { status, retryAfter } or { retry }, not ${actual}.`
  throw new SseError('ERR_SSE_OPTION', message)
}

/**
 * Responds with a refusal. If the response headers were sent, ends the stream after everything queued, but without its
 * replay. A client that has not read the end is disconnected a second later. This includes a stream that was ending
 * before.
 */
export function refuseStream(stream: SseStream, refusal: Refusal, reason: CloseReason): void {
  const { _connection: connection } = stream
  // Also for a stream that has ended, because its queue is sent with the response headers.
  if (connection.output.refuse(refusal)) connection.destroy(reason)
  // A stream that is closing may still send its replay.
  else if (connection.isOpen) endSoon(stream, refusal, reason)
  else if (!connection.isClosed) limitEnd(stream, reason)
}

function endSoon(stream: SseStream, refusal: Refusal, reason: CloseReason): void {
  turn.fanOutNow()
  const retry = refusal.retry ? stream._frameOf({ retry: jitter(refusal.retry) }) : undefined
  // The reconnection time is not queued before, because `_end` drops the frames that were sent during a replay.
  stream._end(reason, undefined, retry)
  limitEnd(stream, reason)
}

// The streams that have a deadline. Without it, a slow client would receive everything queued after its refusal.
const limited = new WeakSet<SseStream>()

function limitEnd(stream: SseStream, reason: CloseReason): void {
  if (limited.has(stream)) return
  limited.add(stream)
  const deadline = new Deadline(END_GRACE, () => stream._connection.destroy(reason))
  stream._addCloseTarget({ _streamClosed: () => deadline.cancel() })
}
