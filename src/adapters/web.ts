import { isFunction, MAX_TIME } from '../check-options.ts'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { admit, beginAdmitted, isGuarded } from '../http/admit.ts'
import { openResponse } from '../http/create-sse-response.ts'
import { checkHandler, isEventStream, isResponse, runHandler, type SseHandler } from '../http/handler.ts'
import { HANDLER_CHECKS, resolveHandlerOptions, type SseHandlerOptions } from '../http/handler-options.ts'
import { HeaderDelay } from '../http/header-delay.ts'
import { webShutdownRefusal } from '../lifecycle/draining.ts'
import type { SseStream } from '../stream/stream.ts'

export interface WebOptions<Events extends EventMap = AnyEvents, Req = Request>
  extends SseHandlerOptions<Events, Req> {
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
 * If the handler fails before the response headers are sent, the returned promise rejects and the server responds. If
 * it returns a `Response` by then, that is the response. A later error destroys the stream and is passed to `onError`.
 *
 * Throws `SseError` `ERR_SSE_HANDLER` or `ERR_SSE_OPTION`. The promise rejects with `ERR_SSE_REQUEST` if the first
 * argument is not a web `Request`.
 */
export function sse<
  Events extends EventMap = AnyEvents,
  Arguments extends readonly unknown[] = readonly unknown[],
>(
  handler: SseHandler<readonly [request: Request, ...Arguments], Events, Response>,
  options?: WebOptions<Given<Events>>,
): (request: Request, ...args: Arguments) => Promise<Response> {
  checkHandler(handler)
  const settings = resolveHandlerOptions(options, CHECKS)
  const onError = options?.onError
  return async (request, ...args) => {
    const answer = new Answer()
    const onBegin = (refusal?: Response) => answer.set(refusal ?? response, refusal !== undefined)
    const isUndecided = isGuarded(settings)
    const { response, stream, poll } = openResponse(request, settings, onBegin, isUndecided)
    if (!stream) return response
    const later = poll?.later
    const isAdmitted = !isUndecided || (await admit(stream, settings, webShutdownRefusal))
    if (!isAdmitted) return answer.other ?? later ?? response
    if (request.method === 'HEAD') return headOf(response, stream)
    if (isUndecided) beginAdmitted(stream)
    const respond = (returned: unknown) => answer.respond(stream, returned)
    // The response to a long poll waits for its events in any case.
    const delay = new HeaderDelay(stream, later ? MAX_TIME : settings.maxHeaderDelay)
    const finished = runHandler(stream, handler, [request, ...args], respond).finally(() => delay.end())
    const opened = answer.known.then(() => (answer.isOther ? undefined : later))
    // Begins before the server reads or cancels the body, but not before the last decision about the status.
    const begun = finished.then(() => {
      stream._connection.begin()
      return answer.known
    })
    await Promise.race([begun, opened])
    finished.catch(onError ?? console.error).catch(console.error)
    return answer.other ?? later ?? response
  }
}

/** The response to a request, once it is known. */
class Answer {
  response: Response | undefined
  /** Whether the response is not the stream. */
  isOther = false
  readonly known: Promise<void>
  #resolve = () => {}

  constructor() {
    this.known = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  /** The response, if it is not the stream. */
  get other(): Response | undefined {
    return this.isOther ? this.response : undefined
  }

  /** Responds with what a handler returned, if it is another response. Returns whether the request has one. */
  respond(stream: SseStream, returned: unknown): boolean {
    if (!isResponse(returned) || isEventStream(returned)) return false
    // The client may have been refused meanwhile, for example because its rights have expired.
    if (this.response) return this.isOther
    this.set(returned, true)
    stream._connection.abandon()
    stream.destroy()
    return true
  }

  /** Sets the response, unless it is known. */
  set(response: Response, isOther: boolean): void {
    if (this.response) return
    this.response = response
    this.isOther = isOther
    this.#resolve()
  }
}

function headOf(response: Response, stream: SseStream): Response {
  stream._connection.abandon()
  stream.destroy()
  return new Response(null, response)
}
