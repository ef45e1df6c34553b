import { compress } from '../compression/compress.ts'
import type { Encoding } from '../compression/zlib.ts'
import type { AnyEvents, EventMap, Given } from '../event/event.ts'
import { webShutdownRefusal } from '../lifecycle/draining.ts'
import type { Origin } from '../stream/origin.ts'
import type { Refusal } from '../stream/refusal.ts'
import { SseStream } from '../stream/stream.ts'
import { WebTransport } from '../transports/web-body.ts'
import { applyWebQuery } from './apply-query.ts'
import { checkWebRequest } from './check-request.ts'
import { withShutdownHeader } from './closing.ts'
import { webContentEncoding } from './content-encoding.ts'
import { disconnectOnAbort } from './disconnect-on-abort.ts'
import { checkHandler, runHandler, type SseHandler } from './handler.ts'
import { preambleOf, webHeaders, webNotAcceptable, webRefusal } from './head.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import { type OwnOptions, resolveStreamOptions, type Settings, type SseStreamOptions } from './options.ts'
import { settingsFor } from './representation.ts'
import { warnOfSettings } from './warn-settings.ts'
import { earlyResponse, openWebPoll, type WebPoll } from './web-poll.ts'

/**
 * Returns a web `Response` whose body is an event stream, and calls the handler with the stream and the request. The
 * response is 406 if the client accepts no format of the route, and has no body for a HEAD request. The response to a
 * long poll has no `Content-Length`, because it is returned before its events are known; `sse` of `spillway/web` sends
 * one.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_HANDLER` or `ERR_SSE_REQUEST`, and errors that the handler throws
 * synchronously. A later error of the handler destroys the stream and is passed to its `close` event. Without a
 * listener of that event, it is printed with `console.error`.
 */
export function createSseResponse<Events extends EventMap = AnyEvents>(
  request: Request,
  handler: SseHandler<readonly [request: Request], Events>,
  options?: SseStreamOptions<Given<Events>>,
): Response {
  const { settings, own } = resolveStreamOptions(options)
  checkHandler(handler)
  const { response, stream, poll } = openResponse(request, settings, undefined, false, own)
  if (stream) runHandler(stream, handler, [request], undefined, printUnheard).catch(() => {})
  return poll ? earlyResponse(poll) : response
}

/** Prints an error unless the `close` event passes it to a listener. A stream that has closed before has no error. */
function printUnheard(error: unknown, stream: SseStream): void {
  if (stream.closed || stream.listenerCount('close') === 0) console.error(error)
}

/** A response and the stream that is its body. There is no stream for a 406 and for a HEAD request. */
export interface WebAnswer {
  /** For a long poll, it has only the status and headers. */
  readonly response: Response
  readonly stream?: SseStream
  readonly poll?: WebPoll
}

/**
 * Creates a response and its stream. With `onBegin`, the stream writes from its first event or `begin` on, and
 * `onBegin` is called before, with the response if the stream is refused. Throws `SseError` `ERR_SSE_REQUEST`.
 */
export function openResponse(
  request: Request,
  routeSettings: Settings,
  onBegin?: (refusal?: Response) => void,
  isUndecided = false,
  own: OwnOptions = routeSettings,
): WebAnswer {
  checkWebRequest(request)
  const settings = settingsFor(routeSettings, request.headers.get('accept'), request.url)
  if (!settings) return { response: webNotAcceptable(request, routeSettings) }
  // Create the response first, because it may throw, and the clock holds a reference to every open stream.
  const encoding = webContentEncoding(request, settings)
  const init = initOf(request, settings, encoding)
  if (request.method === 'HEAD' && !isUndecided) return { response: new Response(null, init) }
  const { context, expiresAt } = own
  const origin = { request, context, expiresAt, isUndecided }
  const refusal = webShutdownRefusal()
  if (refusal) return { response: refusedForShutdown(request, settings, refusal, origin) }
  warnOfSettings(request, settings)
  const beginWith =
    onBegin && ((refusal?: Refusal) => onBegin(refusal && webRefusal(request, settings, refusal)))
  if (settings.poll) {
    const poll = openWebPoll(request, settings, new Response(null, init), beginWith, origin)
    return { response: poll.response, stream: poll.stream, poll }
  }
  const preamble = preambleOf(settings)
  const body = new WebTransport(encoding ? '' : preamble)
  const response = new Response(body.body, init)
  // Created on demand, because the handler may respond otherwise.
  const open = () => compress(body, encoding, preamble)
  const begin = (refusal?: Refusal) => {
    beginWith?.(refusal)
    return refusal === undefined ? open() : undefined
  }
  const stream = SseStream._open(onBegin ? begin : open(), settings, resumePointOfWeb(request), origin)
  applyWebQuery(stream, settings, request)
  disconnectOnAbort(request.signal, body, stream)
  return { response, stream }
}

function initOf(request: Request, settings: Settings, encoding: Encoding | undefined): ResponseInit {
  const headers = withShutdownHeader(webHeaders(settings, encoding), request)
  // Cloudflare Workers would compress the body again.
  const manual = encoding && { encodeBody: 'manual' }
  return { status: settings.status, headers, ...manual }
}

function refusedForShutdown(
  request: Request,
  settings: Settings,
  refusal: Refusal,
  origin: Origin,
): Response {
  // Reports the stream that is refused.
  SseStream._closed('shutdown', settings, resumePointOfWeb(request), origin)
  return webRefusal(request, settings, refusal)
}
