import type { NextRequest } from 'next/server.js'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import type { SseHandler } from '../http/handler.ts'
import { type WebOptions, sse as webSse } from './web.ts'

/** The context that Next passes to a route. */
export interface RouteContext<Params> {
  readonly params: Promise<Params>
}

/**
 * Creates an App Router route of Next 15 or 16 whose response is an event stream, for either runtime:
 *
 * ```ts
 * // app/rooms/[id]/route.ts
 * import { type RouteContext, sse } from 'spillway/next'
 * import { hub } from '@/lib/hub'
 *
 * export const GET = sse(async (stream, request, { params }: RouteContext<{ id: string }>) => {
 *   const { id } = await params
 *   hub.subscribe(stream, `room:${id}`)
 * })
 * ```
 *
 * If the handler fails before the response headers are sent, Next responds; `notFound()` and `redirect()` therefore
 * work. A later error destroys the stream and is passed to `onError`.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`.
 */
export function sse<Events extends EventMap = AnyEvents, Params extends object = object>(
  handler: SseHandler<readonly [request: NextRequest, context: RouteContext<Params>], Events, Response>,
  options?: WebOptions<Given<Events>, NextRequest>,
): (request: NextRequest, context: RouteContext<Params>) => Promise<Response> {
  // Next calls the route with a `NextRequest`, and `sse` of `spillway/web` passes it on unchanged.
  return webSse(
    handler as SseHandler<readonly [request: Request, context: RouteContext<Params>], Events, Response>,
    options as WebOptions<Events> | undefined,
  )
}
