import { eventStream } from '../formats/event-stream.ts'
import type { FormatName } from '../formats/format.ts'
import { ndjson } from '../formats/ndjson.ts'
import { PollPage } from '../formats/poll-page.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { Refusal } from '../stream/refusal.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import { type NodeRequest, resumePointOf } from './last-event-id.ts'

/** The response to a client that is refused. */
export interface RefusalAnswer {
  readonly status: number
  /** Headers beside those of the route. */
  readonly headers: Readonly<Record<string, string>>
  /** The body in the format of the stream. Undefined for a status that is not that of the stream. */
  readonly body: string | undefined
}

/** The properties of a request that affect its refusal. */
export interface RefusedRequest {
  readonly method: string | undefined
  /** The header `Prefer`. */
  readonly prefer: string | null | undefined
  readonly resumePoint: ResumePoint
}

/** Returns these properties of a Node.js request. */
export function refusedRequest(request: NodeRequest): RefusedRequest {
  const { method, headers } = request
  return { method, prefer: headers.prefer as string | undefined, resumePoint: resumePointOf(request) }
}

/** Returns the response to a refused client, in the format of its stream. */
export function refusalAnswer(
  refusal: Refusal,
  format: FormatName,
  { method = 'GET', prefer, resumePoint }: RefusedRequest,
): RefusalAnswer {
  if (refusal.status !== undefined) return statusAnswer(refusal.status, refusal.retryAfter)
  const retry = jitter(refusal.retry)
  // An `EventSource` sends only GET. With a 200, the SDK that has sent a POST reports an empty response as a success.
  return isStrict(prefer) || !/^(GET|HEAD)$/.test(method)
    ? statusAnswer(503, retry)
    : { status: 200, headers: NOT_CACHED, body: textOf(format, retry, resumePoint) }
}

// Applies even if the route lets caches store its responses, because a refusal is for one client at one time.
const NOT_CACHED = { 'Cache-Control': 'no-store' }

function statusAnswer(status: number, retryAfter: number | undefined): RefusalAnswer {
  const after = retryAfter && { 'Retry-After': String(Math.ceil(retryAfter / 1000)) }
  return { status, headers: { ...NOT_CACHED, ...after }, body: undefined }
}

// RFC 7240 4.4: a client that can handle an error sends this preference. If it is repeated, the first one counts
// (RFC 7240 2).
function isStrict(prefer: string | null | undefined): boolean {
  const handling = /(?:^|,)\s*handling\s*=\s*"?([^",;]*)/i.exec(prefer ?? '')?.[1]
  return handling?.trim().toLowerCase() === 'strict'
}

function textOf(format: FormatName, retry: number, resumePoint: ResumePoint): string {
  if (format === 'json') return emptyPage(retry, resumePoint)
  return format === 'ndjson' ? ndjson.encodeCheckpoint({ retry }) : eventStream.preamble(0, retry)
}

// Returns a page with the cursor of the client, because it would otherwise miss the events until its next request.
function emptyPage(retry: number, resumePoint: ResumePoint): string {
  const cursor = typeof resumePoint === 'object' ? resumePoint.id : undefined
  return new PollPage(Buffer.alloc(0)).body(cursor, retry).toString()
}
