import { Readable } from 'node:stream'
import type { Context, Middleware } from 'koa'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { type AnswerHooks, answerRequest } from '../http/answer-request.ts'
import { checkHandler, type SseHandler } from '../http/handler.ts'
import { streamHeaders } from '../http/head.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from '../http/options.ts'

/**
 * A middleware of Koa 2 or 3 that answers with an event stream:
 *
 * ```js
 * import Koa from 'koa'
 * import { Hub } from 'spillway'
 * import { sse } from 'spillway/koa'
 *
 * const time = new Hub().channel('time')
 * setInterval(() => time.publish({ data: new Date() }), 1000)
 * new Koa().use(sse((stream) => time.subscribe(stream))).listen(3000)
 * ```
 *
 * A request that does not accept a stream goes on to the next middleware, so that one path can serve JSON too. What the
 * handler fails with is thrown on to Koa; once the head has left, the stream is destroyed before.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`.
 */
export function sse<Events extends EventMap = AnyEvents>(
  handler: SseHandler<readonly [context: Context], Events>,
  options?: SseStreamOptions<Events>,
): Middleware {
  checkHandler(handler)
  const settings = resolveOptions(options)
  const takeOver: typeof handler = (stream, context) => {
    // From here on, because a middleware before may not wait for this one.
    context.respond = false
    context.onerror = withoutLostClient(context)
    return handler(stream, context)
  }
  return async (context, next) => {
    const { req, res } = context
    const hooks: AnswerHooks = {
      onHeadError: (error) => context.onerror(error as Error),
      answerHead: () => answerHead(context, settings),
    }
    try {
      const isAnswered = await answerRequest(req, res, settings, takeOver, [context], hooks)
      if (!isAnswered) return next() // without await: what that fails with is not ours
      if (!context.headerSent) setStatus(context, settings.status) // a logger may read it before the head leaves
    } catch (error) {
      if (!context.headerSent) context.respond = true
      throw error
    }
  }
}

// Koa answers when all middlewares have come back, unless it was told not to.
function answerHead(context: Context, settings: Settings): boolean {
  if (context.respond === false) return false
  // It has one, of no length that could be told.
  context.body = Readable.from([])
  setStatus(context, settings.status)
  context.set(streamHeaders(context.res, settings.headers) as Record<string, string>)
  return true
}

// Its words may be the application's.
function setStatus(context: Context, status: number): void {
  if (context.status !== status) context.status = status
}

// Koa reports every connection that breaks.
function withoutLostClient(context: Context): Context['onerror'] {
  const { onerror } = context
  return (error) => (error === context.req.socket.errored ? undefined : onerror.call(context, error))
}
