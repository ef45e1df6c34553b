import type { Request, RequestHandler, Response } from 'express'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { answerRequest } from '../http/answer-request.ts'
import { checkCall } from '../http/check-request.ts'
import { checkHandler, type SseHandler } from '../http/handler.ts'
import { resolveHandlerOptions, type SseHandlerOptions } from '../http/handler-options.ts'

/**
 * Creates a handler of Express 4 or 5 whose response is an event stream:
 *
 * ```js
 * import express from 'express'
 * import { Hub } from 'spillway'
 * import { sse } from 'spillway/express'
 *
 * const time = new Hub().channel('time')
 * setInterval(() => time.publish({ data: new Date() }), 1000)
 * express().get('/time', sse((stream) => time.subscribe(stream))).listen(3000)
 * ```
 *
 * With the option `negotiate`, only requests that name `text/event-stream` receive the stream. Other requests go to the
 * next handler, so that one path can also serve JSON. An error of the handler goes to `next(error)`; if the response
 * headers were sent, the stream is destroyed first.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The handler rejects with `ERR_SSE_REQUEST` outside of
 * Express.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  // The type arguments of `Request`, which are inferred from the annotation of the handler's request.
  Params = Request['params'],
  ResponseBody = Any,
  RequestBody = Any,
  Query = Request['query'],
  Locals extends Record<string, Any> = Record<string, Any>,
>(
  handler: SseHandler<
    readonly [
      request: Request<Params, ResponseBody, RequestBody, Query, Locals>,
      response: Response<ResponseBody, Locals>,
    ],
    Events
  >,
  options?: SseHandlerOptions<Given<Events>, Request<Params, ResponseBody, RequestBody, Query, Locals>>,
): RequestHandler<Params, ResponseBody, RequestBody, Query, Locals> {
  checkHandler(handler)
  const settings = resolveHandlerOptions(options)
  return async (request, response, next) => {
    checkCall(next, 'spillway/express', 'next')
    let hasFailed = false
    // Call `next` once, because a failure to send the headers may also make the handler fail.
    const fail = (error: unknown) => {
      if (hasFailed) return
      hasFailed = true
      next(error)
    }
    const hooks = { onHeadersError: fail }
    try {
      const isHandled = await answerRequest(request, response, settings, handler, [request, response], hooks)
      if (!isHandled) next()
    } catch (error) {
      fail(error)
    }
  }
}

// biome-ignore lint/suspicious/noExplicitAny: as in the types of Express.
type Any = any
