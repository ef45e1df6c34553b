import { compress } from '../compression/compress.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { CloseReason } from '../stream/close-reason.ts'
import { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import { applyQuery } from './apply-query.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { preambleOf, sendHead, sendNotAcceptable } from './head.ts'
import { type NodeRequest, resumePointOf } from './last-event-id.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from './options.ts'
import { settingsFor } from './representation.ts'
import { longPollOf, pollTransport } from './send-poll.ts'

/**
 * Starts an event stream as the response to a request of `node:http` or `node:http2`. Sends the response headers and a
 * first byte immediately.
 *
 * The returned stream is already closed if there is no client to send events to. Its `closeReason` is then
 * `not-acceptable` after a 406, `client` if the client has disconnected, and `server` for a HEAD request.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE` or `ERR_SSE_HEADERS_SENT`.
 */
export function createSseStream<Events extends EventMap = AnyEvents>(
  request: NodeRequest,
  response: NodeResponse,
  options?: SseStreamOptions<Events>,
): SseStream<Events> {
  const routeSettings = resolveOptions(options)
  checkRequest(request)
  checkResponse(response)
  const resumePoint = resumePointOf(request)
  const settings = settingsFor(routeSettings, request.headers.accept, request.url)
  const closed = (reason: CloseReason) => SseStream._closed(reason, settings ?? routeSettings, resumePoint)

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
  if (settings.poll) return openPoll(request, response, settings)
  const encoding = sendHead(response, settings)
  const transport = compress(nodeTransport(response), encoding, preambleOf(settings))
  const stream = SseStream._open(transport, settings, resumePoint)
  applyQuery(stream, settings, request)
  return stream
}

function openPoll(request: NodeRequest, response: NodeResponse, settings: Settings): SseStream {
  const poll = longPollOf(request, settings)
  const transport = pollTransport(response, settings, poll, () => stream)
  const stream = SseStream._open(transport, settings, resumePointOf(request))
  stream._pollCache = poll
  applyQuery(stream, settings, request)
  return stream
}
