import { isFunction } from '../check-options.ts'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import { answerRequest } from './answer-request.ts'
import { checkRequest } from './check-request.ts'
import { checkResponse } from './check-response.ts'
import { checkHandler, type SseHandler } from './handler.ts'
import { HANDLER_CHECKS, resolveHandlerOptions, type SseHandlerOptions } from './handler-options.ts'
import { sendNotAcceptable, sendRefusal } from './head.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'

export interface NodeOptions<Events extends EventMap = AnyEvents>
  extends SseHandlerOptions<Events, NodeRequest> {
  /**
   * Called with an error of the handler. If the response headers were not sent, the response is a 500. Default
   * `console.error`.
   */
  onError?: ((error: unknown) => unknown) | undefined
}

const CHECKS = { ...HANDLER_CHECKS, onError: isFunction }

/**
 * Creates a request listener of `node:http`, `node:https` or `node:http2` whose response is an event stream:
 *
 * ```js
 * import { createServer } from 'node:http'
 * import { Hub, sse } from 'spillway'
 *
 * const time = new Hub().channel('time')
 * setInterval(() => time.publish({ data: new Date() }), 1000)
 * createServer(sse((stream) => time.subscribe(stream))).listen(3000)
 * ```
 *
 * Unlike `createSseStream`, it calls `authorize` and checks `limits` before the response headers are sent.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The promise never rejects, except with `SseError`
 * `ERR_SSE_REQUEST`, `ERR_SSE_RESPONSE` or `ERR_SSE_HEADERS_SENT`.
 */
export function sse<Events extends EventMap = AnyEvents>(
  handler: SseHandler<readonly [request: NodeRequest, response: NodeResponse], Events>,
  options?: NodeOptions<Given<Events>>,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  checkHandler(handler)
  const settings = resolveHandlerOptions(options, CHECKS)
  const onError = options?.onError ?? console.error
  return async (request, response) => {
    checkRequest(request)
    checkResponse(response)
    const fail = (error: unknown) => {
      sendError(response, settings)
      // An unhandled rejection would end the process.
      Promise.reject(error).catch(onError).catch(console.error)
    }
    const hooks = { onHeadersError: fail }
    const answer = answerRequest(request, response, settings, handler, [request, response], hooks)
    const isHandled = await answer.catch((error) => {
      fail(error)
      return true
    })
    if (!isHandled) sendNotAcceptable(response, settings)
  }
}

/** Responds 500, unless there is a response. Cuts the connection if a middleware throws for any response headers. */
function sendError(response: NodeResponse, settings: Settings): void {
  try {
    if (!response.headersSent && !response.destroyed) sendRefusal(response, settings, { status: 500 })
  } catch {
    nodeTransport(response).destroy()
  }
}
