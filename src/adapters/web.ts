import { isFunction } from '../check-options.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { openResponse } from '../http/create-sse-response.ts'
import { checkHandler, runHandler, type SseHandler } from '../http/handler.ts'
import { resolveOptions, SSE_CHECKS, type SseStreamOptions } from '../http/options.ts'
import { turn } from '../scheduler/turn.ts'

export interface WebOptions<Events extends EventMap = AnyEvents> extends SseStreamOptions<Events> {
  /** Told what a handler fails with after its head has left. Default `console.error`. */
  onError?: ((error: unknown) => unknown) | undefined
}

const CHECKS = { ...SSE_CHECKS, onError: isFunction }

/**
 * A handler of any server that answers a web `Request` with a `Response`: Bun, Deno, Hono, SvelteKit, React Router,
 * workers.
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
 * What the handler fails with before the head has left rejects: the server answers. After that the stream is destroyed.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`. The answer rejects with `ERR_SSE_REQUEST`.
 */
export function sse<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
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
    const over = runHandler(stream, handler, [request, ...args])
    await Promise.race([over, turn.end()])
    over.catch(onError ?? console.error).catch(console.error)
    return response
  }
}
