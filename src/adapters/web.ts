import { openResponse } from '../create-sse-response.ts'
import type { AnyEvents, EventMap } from '../event.ts'
import { checkHandler, runHandler, type SseHandler } from '../handler.ts'
import { resolveOptions, type SseStreamOptions } from '../options.ts'
import { turnEnd } from '../turn.ts'

export interface WebOptions<Events extends EventMap = AnyEvents> extends SseStreamOptions<Events> {
  /** Told what a handler fails with after its head has left. Default: `console.error`. */
  onError?: ((error: unknown) => void) | undefined
}

/**
 * A handler of any server that answers a web `Request` with a `Response`: Bun, Deno, Hono, SvelteKit, React Router,
 * workers.
 *
 * ```js
 * import { sse } from 'spillway/web'
 *
 * Deno.serve(sse((stream) => setInterval(() => stream.send({ data: new Date() }), 1000)))
 * ```
 *
 * What the handler fails with before the head has left rejects: the server answers. After that the stream is destroyed.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`.
 */
export function sse<
  Arguments extends readonly unknown[] = readonly unknown[],
  Events extends EventMap = AnyEvents,
>(
  handler: SseHandler<readonly [request: Request, ...Arguments], Events>,
  options: WebOptions<Events> = {},
): (request: Request, ...args: Arguments) => Promise<Response> {
  checkHandler(handler)
  const { onError = console.error, ...rest } = options
  const settings = resolveOptions(rest)
  return async (request, ...args) => {
    const { response, stream } = openResponse(request, settings)
    if (!stream) return response
    const over = runHandler(stream, handler, [request, ...args])
    await Promise.race([over, turnEnd()])
    over.catch(onError)
    return response
  }
}
