import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { shutdownRefusalOf } from '../lifecycle/draining.ts'
import type { CloseReason } from '../stream/close-reason.ts'
import { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { applyQuery } from './apply-query.ts'
import { beginResponse } from './begin-response.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { sendHead, sendNotAcceptable, sendRefusal } from './head.ts'
import { type NodeRequest, resumePointOf } from './last-event-id.ts'
import { resolveStreamOptions, type SseStreamOptions } from './options.ts'
import { settingsFor } from './representation.ts'
import { longPollOf } from './send-poll.ts'
import { warnOfSettings } from './warn-settings.ts'

/**
 * Starts an event stream as the response to a request of `node:http` or `node:http2`. Sends the response headers and a
 * first byte by the end of this turn of the event loop.
 *
 * The returned stream is already closed if there is no client to send events to. Its `closeReason` is then
 * `not-acceptable` after a 406, `client` after a disconnect, `server` for a HEAD request, or `shutdown` while the
 * server shuts down.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE` or `ERR_SSE_HEADERS_SENT`.
 */
export function createSseStream<Events extends EventMap = AnyEvents>(
  request: NodeRequest,
  response: NodeResponse,
  options?: SseStreamOptions<Given<Events>>,
): SseStream<Events, NodeRequest> {
  const { settings: routeSettings, own } = resolveStreamOptions(options)
  checkRequest(request)
  checkResponse(response)
  const resumePoint = resumePointOf(request)
  const settings = settingsFor(routeSettings, request.headers.accept, request.url)
  const origin = { request, ...own }
  const closed = (reason: CloseReason) =>
    SseStream._closed(reason, settings ?? routeSettings, resumePoint, origin) as SseStream<
      Events,
      NodeRequest
    >

  if (isClosed(response)) return closed('client')
  if (!settings) {
    sendNotAcceptable(response, routeSettings)
    return closed('not-acceptable')
  }
  if (request.method === 'HEAD') {
    sendHead(response, settings)
    response.end()
    return closed('server')
  }
  const refusal = shutdownRefusalOf(request)
  if (refusal) {
    sendRefusal(response, settings, refusal)
    return closed('shutdown')
  }
  warnOfSettings(request, settings)
  const poll = longPollOf(request, settings)
  const transport = beginResponse(response, settings, poll, () => stream)
  const stream: SseStream = SseStream._open(transport, settings, resumePoint, origin)
  stream._pollCache = poll
  applyQuery(stream, settings, request)
  return stream as SseStream<Events, NodeRequest>
}
