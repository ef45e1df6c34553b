import type { NextRequest } from 'next/server.js'
import type { AnyEvents, EventMap } from '../event/event.ts'
import type { SseHandler } from '../http/handler.ts'
import { sse as answer, type WebOptions } from './web.ts'

/** What Next hands to a route with the request. */
export interface RouteContext<Params> {
  readonly params: Promise<Params>
}

/**
 * A route of the App Router of Next 15 or 16 that answers with an event stream, on either runtime:
 *
 * ```ts
 * // app/rooms/[id]/route.ts
 * import { sse } from 'spillway/next'
 * import { hub } from '@/lib/hub'
 *
 * export const GET = sse<{ id: string }>(async (stream, request, { params }) => {
 *   const { id } = await params
 *   hub.subscribe(stream, [`room:${id}`])
 * })
 * ```
 *
 * What the handler fails with before the head has left, `notFound()` and `redirect()` too, Next answers. After that the
 * stream is destroyed and `onError` told.
 *
 * Throws `SseError`: `ERR_SSE_HANDLER`, `ERR_SSE_OPTION`.
 */
export function sse<Params extends object = object, Events extends EventMap = AnyEvents>(
  handler: SseHandler<readonly [request: NextRequest, context: RouteContext<Params>], Events>,
  options?: WebOptions<Events>,
): (request: NextRequest, context: RouteContext<Params>) => Promise<Response> {
  // A `NextRequest` is a `Request`: what Next calls the route with is what the handler is called with.
  return answer(
    handler as SseHandler<readonly [request: Request, context: RouteContext<Params>], Events>,
    options,
  )
}
