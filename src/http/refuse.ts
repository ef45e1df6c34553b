import type { ServerResponse } from 'node:http'
import { isWhole, MAX_TIME } from '../check-options.ts'
import { SseError } from '../errors.ts'
import { eventStream } from '../formats/event-stream.ts'
import { ndjson } from '../formats/ndjson.ts'
import { PollPage } from '../formats/poll-page.ts'
import { jitter } from '../scheduler/jitter.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { checkResponse } from './check-response.ts'
import { queryOf } from './formats.ts'
import { dropLength, endWith, streamHeaders } from './head.ts'
import { LONG_POLL_DEFAULTS } from './options.ts'

/** How to refuse a client. */
export type Refusal =
  /** Status from 201 to 599. An `EventSource` stops reconnecting: silently after 204, with an error after any other. */
  | { readonly status: number }
  /** Reconnection time in ms; each client gets a random time from this to twice this. Sent with status 200. */
  | { readonly retry: number }

/**
 * Responds to a client without opening a stream. `{ status: 204 }` stops it from reconnecting, `{ status: 403 }` makes it
 * fail permanently, and `{ retry: 30_000 }` makes it reconnect later. A 503 would make an `EventSource` fail permanently.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_RESPONSE` or `ERR_SSE_HEADERS_SENT`.
 */
export function refuseSseStream(response: NodeResponse, refusal: Refusal): void {
  const { status, retry } = Object(refusal) as { status?: number; retry?: number }
  checkResponse(response)
  if (isWhole(retry, 1, MAX_TIME)) {
    // Only the URL, because the formats of the route are unknown, and many clients of event streams accept JSON.
    const name = queryOf(response.req.url).get('format')
    const format = name === 'json' || name === 'ndjson' ? ndjson : eventStream
    const settings = { headers: {}, format, ...(name === 'json' && { poll: LONG_POLL_DEFAULTS }) }
    ;(response as ServerResponse).writeHead(200, streamHeaders(response, settings))
    endWith(response, refusalText(name, jitter(retry)))
  } else if (isWhole(status, 201, 599)) {
    dropLength(response)
    response.writeHead(status)
    response.end()
  } else {
    throw new SseError(
      'ERR_SSE_OPTION',
      'A refusal must be { status } from 201 to 599, or { retry } in milliseconds.',
    )
  }
}

function refusalText(format: string | null, retry: number): string {
  if (format === 'json') return new PollPage(Buffer.alloc(0)).body(undefined, retry).toString()
  return format === 'ndjson' ? ndjson.encodeCheckpoint({ retry }) : eventStream.preamble(0, retry)
}
