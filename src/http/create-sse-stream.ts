import type { AnyEvents, EventMap } from '../event/event.ts'
import type { CloseReason } from '../stream/close-reason.ts'
import { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import { acceptsEventStream } from './accept.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse, isClosed } from './check-response.ts'
import { sendHead, sendNotAcceptable } from './head.ts'
import { type NodeRequest, positionOf } from './last-event-id.ts'
import { resolveOptions, type SseStreamOptions } from './options.ts'

/**
 * Answers a request of `node:http` or `node:http2` with an event stream. The head and a first byte leave at once.
 *
 * A client that cannot be served gets its answer and the caller a stream that is already closed: `not-acceptable`
 * after a 406, `client` when it left first, `server` for a HEAD request.
 *
 * Throws `SseError`: `ERR_SSE_OPTION`, `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE`, `ERR_SSE_HEADERS_SENT`.
 */
export function createSseStream<Events extends EventMap = AnyEvents>(
  request: NodeRequest,
  response: NodeResponse,
  options?: SseStreamOptions<Events>,
): SseStream<Events> {
  const settings = resolveOptions(options)
  checkRequest(request)
  checkResponse(response)
  const position = positionOf(request)
  const closed = (reason: CloseReason) => SseStream._closed(reason, settings, position)

  if (isClosed(response)) return closed('client')
  if (!acceptsEventStream(request.headers.accept)) {
    sendNotAcceptable(response)
    return closed('not-acceptable')
  }
  sendHead(response, settings)
  if (request.method === 'HEAD') {
    response.end()
    return closed('server')
  }
  return SseStream._open(nodeTransport(response), settings, position)
}
