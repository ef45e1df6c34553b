import type { Request, RequestHandler, Response } from 'express'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { answerRequest } from '../http/answer-request.ts'
import { checkHandler, type SseHandler } from '../http/handler.ts'
import { resolveOptions, type SseStreamOptions } from '../http/options.ts'

/**
 * A handler of Express 4 or 5 that answers with an event stream:
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
 * A request that does not accept a stream goes on to the next handler, so that one path can serve JSON too. What the
 * handler fails with goes to `next(error)`; once the head has left, the stream is destroyed before.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`.
 */
export function sse<Events extends EventMap = AnyEvents>(
  handler: SseHandler<readonly [request: Request, response: Response], Events>,
  options?: SseStreamOptions<Events>,
): RequestHandler {
  checkHandler(handler)
  const settings = resolveOptions(options)
  return async (request, response, next) => {
    let isTold = false
    // Once: a handler may fail because its head has.
    const fail = (error: unknown) => {
      if (isTold) return
      isTold = true
      next(error)
    }
    const hooks = { onHeadError: fail }
    try {
      const isAnswered = await answerRequest(request, response, settings, handler, [request, response], hooks)
      if (!isAnswered) next()
    } catch (error) {
      fail(error)
    }
  }
}
