import { isFunction } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { openResponse } from '../http/create-sse-response.ts'
import { checkHandler, runHandler, type SseHandler } from '../http/handler.ts'
import { resolveOptions, SSE_CHECKS, type SseStreamOptions } from '../http/options.ts'
import { turn } from '../scheduler/turn.ts'

export interface WebOptions<Events extends EventMap = AnyEvents> extends SseStreamOptions<Events> {
  /** Called with an error of the handler after the response headers were sent. Default `console.error`. */
  onError?: ((error: unknown) => unknown) | undefined
}

const CHECKS = { ...SSE_CHECKS, onError: isFunction }

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
 * If the handler fails before the response headers are sent, the returned promise rejects and the server responds. A later
 * error destroys the stream and is passed to `onError`.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The promise rejects with `ERR_SSE_REQUEST` if the first argument
 * is not a web `Request`.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  Arguments extends readonly unknown[] = readonly unknown[],
>(
  handler: SseHandler<readonly [request: Request, ...Arguments], Events>,
  options?: WebOptions<Events>,
): (request: Request, ...args: Arguments) => Promise<Response> {
  checkHandler(handler)
  const settings = resolveOptions(options, CHECKS)
  const onError = options?.onError
  return async (request, ...args) => {
    const { response, stream } = openResponse(request, settings)
    if (!stream) return response
    const finished = runHandler(stream, handler, [request, ...args])
    await Promise.race([finished, turn.end()])
    finished.catch(onError ?? console.error).catch(console.error)
    return response
  }
}
