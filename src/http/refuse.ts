import { eventStream } from '../formats/event-stream.ts'
import { ndjson } from '../formats/ndjson.ts'
import { type Refusal, refusalOf } from '../stream/refusal.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { checkResponse } from './check-response.ts'
import { shutdownHeaders } from './closing.ts'
import { queryOf } from './formats.ts'
import { clearMessage, dropLength, endWith, streamHeaders } from './head.ts'
import { LONG_POLL_DEFAULTS } from './options.ts'
import { refusalAnswer, refusedRequest } from './refusal-answer.ts'

/**
 * Responds to a client without opening a stream. `{ status: 204 }` stops it from reconnecting, `{ status: 403 }` makes
 * it fail permanently, and `{ retry: 30_000 }` makes it reconnect later. A 503 would make an `EventSource` fail
 * permanently, so that only a request that an `EventSource` does not send gets it, such as a POST.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_RESPONSE` or `ERR_SSE_HEADERS_SENT`.
 */
export function refuseSseStream(response: NodeResponse, refusal: Refusal): void {
  checkResponse(response)
  const checked = refusalOf(refusal)
  const { req } = response
  // Reads only the URL, because the formats of the route are unknown, and many clients of event streams accept JSON.
  const query = queryOf(req.url).get('format')
  const name = query === 'json' || query === 'ndjson' ? query : 'event-stream'
  const { status, headers, body } = refusalAnswer(checked, name, refusedRequest(req))
  clearMessage(response, status)
  if (body === undefined) {
    dropLength(response)
    response.writeHead(status, { ...headers, ...shutdownHeaders(response) })
    response.end()
    return
  }
  const format = name === 'event-stream' ? eventStream : ndjson
  const settings = { headers: {}, format, ...(name === 'json' && { poll: LONG_POLL_DEFAULTS }) }
  response.writeHead(status, { ...streamHeaders(response, settings), ...headers })
  endWith(response, body)
}
