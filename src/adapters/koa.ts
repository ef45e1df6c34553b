import { Readable } from 'node:stream'
import type { Context, Middleware } from 'koa'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { type AnswerHooks, answerRequest } from '../http/answer-request.ts'
import { checkCall } from '../http/check-request.ts'
import { checkHandler, type SseHandler } from '../http/handler.ts'
import { resolveHandlerOptions, type SseHandlerOptions } from '../http/handler-options.ts'
import { streamHeaders } from '../http/head.ts'
import type { Settings } from '../http/options.ts'

/**
 * Creates a middleware of Koa 2 or 3 whose response is an event stream:
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
 * With the option `negotiate`, only requests that name `text/event-stream` receive the stream. Other requests go to the
 * next middleware, so that one path can also serve JSON. An error of the handler is rethrown to Koa; if the response
 * headers were sent, the stream is destroyed first.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The middleware rejects with `ERR_SSE_REQUEST` outside
 * of Koa.
 */
export function sse<Events extends EventMap = AnyEvents>(
  handler: SseHandler<readonly [context: Context], Events, never, Context['request']>,
  options?: SseHandlerOptions<Given<Events>, Context['request']>,
): Middleware {
  checkHandler(handler)
  const settings = resolveHandlerOptions(options)
  return async (context, next) => {
    checkCall(context?.onerror, 'spillway/koa', 'a context')
    const { req, res } = context
    // Watches from the call of the handler on, because an earlier middleware may not await the authorization before.
    let hasResponded = () => false
    const watched: typeof handler = (stream) => {
      hasResponded = responseWatch(context)
      return handler(stream, context)
    }
    const hooks: AnswerHooks = {
      request: context.request,
      takeOver() {
        context.respond = false
        context.onerror = ignoringLostClient(context)
      },
      hasResponded: () => hasResponded(),
      onHeadersError: (error) => context.onerror(error as Error),
      respondToHead: (chosen) => respondToHead(context, chosen),
    }
    try {
      const isHandled = await answerRequest(req, res, settings, watched, [context], hooks)
      if (!isHandled) return next() // not awaited, so that its errors are not caught here
      const isResponded = hasResponded()
      // A status or a body that earlier middleware sets later is not a response of the handler.
      hasResponded = () => isResponded
      if (context.headerSent) return
      if (isResponded) context.respond = true
      else setStatus(context, settings.status) // for loggers that read it before the headers are sent
    } catch (error) {
      if (!context.headerSent) context.respond = true
      throw error
    }
  }
}

/** Returns a function that returns true once the handler has set a status or a body on the context. */
function responseWatch(context: Context): () => boolean {
  const { status, body } = context
  return () => context.status !== status || context.body !== body
}

// Sets the response to a HEAD request. Koa sends it after all middlewares have finished, unless `respond` is false.
function respondToHead(context: Context, settings: Settings): boolean {
  if (context.respond === false) return false
  // The body of a GET has no known length, and an empty stream makes Koa omit `Content-Length`.
  context.body = Readable.from([])
  setStatus(context, settings.status)
  context.set(streamHeaders(context.res, settings) as Record<string, string>)
  return true
}

// Sets a status only if it differs. Setting it again would replace a status message set by the application.
function setStatus(context: Context, status: number): void {
  if (context.status !== status) context.status = status
}

// Returns an error handler that ignores a lost client. Otherwise, Koa would report each disconnect as an error.
function ignoringLostClient(context: Context): Context['onerror'] {
  const { onerror } = context
  return (error) => (error === context.req.socket.errored ? undefined : onerror.call(context, error))
}
