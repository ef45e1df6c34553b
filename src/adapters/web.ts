import { isFunction } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { openResponse } from '../http/create-sse-response.ts'
import { checkHandler, isEventStream, isResponse, runHandler, type SseHandler } from '../http/handler.ts'
import { HANDLER_CHECKS, resolveHandlerOptions, type SseHandlerOptions } from '../http/handler-options.ts'
import { HeaderDelay } from '../http/header-delay.ts'

export interface WebOptions<Events extends EventMap = AnyEvents> extends SseHandlerOptions<Events> {
  /** Called with an error of the handler after the response headers were sent. Default `console.error`. */
  onError?: ((error: unknown) => unknown) | undefined
}

const CHECKS = { ...HANDLER_CHECKS, onError: isFunction }

/**
 * Creates a handler from a web `Request` to a `Response` that is an event stream, for Bun, Deno, Hono, SvelteKit, React
 * Router and workers:
 *
 * ```js
 * import { Hub } from 'spillway'
 * import { sse } from 'spillway/web'
 *
 * const time = new Hub().channel('time')
 * setInterval(() => time.publish({ data: new Date() }), 1000)
 * export default { fetch: sse((stream) => time.subscribe(stream)) }
 * ```
 *
 * If the handler fails before the response headers are sent, the returned promise rejects and the server responds. If it
 * returns a `Response` until then, that is the answer. A later error destroys the stream and is passed to `onError`.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The promise rejects with `ERR_SSE_REQUEST` if the first argument
 * is not a web `Request`.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  Arguments extends readonly unknown[] = readonly unknown[],
>(
  handler: SseHandler<readonly [request: Request, ...Arguments], Events, Response>,
  options?: WebOptions<Events>,
): (request: Request, ...args: Arguments) => Promise<Response> {
  checkHandler(handler)
  const settings = resolveHandlerOptions(options, CHECKS)
  const onError = options?.onError
  return async (request, ...args) => {
    let answer: Response | undefined
    let begin = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    const { response, stream, poll } = openResponse(request, settings, () => {
      answer ??= response
      begin()
    })
    if (!stream) return response
    const later = poll?.later
    const respond = (returned: unknown) => {
      if (answer || !isResponse(returned) || isEventStream(returned)) return false
      answer = returned
      stream._abandon()
      stream.destroy()
      return true
    }
    // The response to a long poll waits for its events in any case.
    const delay = later ? undefined : new HeaderDelay(stream, settings.maxHeaderDelay)
    const finished = runHandler(stream, handler, [request, ...args], respond).finally(() => delay?.end())
    await Promise.race([finished, later ?? begun])
    // Before the server reads or cancels the body.
    stream._begin()
    finished.catch(onError ?? console.error).catch(console.error)
    return answer && answer !== response ? answer : (later ?? response)
  }
}
