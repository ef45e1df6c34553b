import { compress } from '../compression/compress.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { SseStream } from '../stream/stream.ts'
import { WebTransport } from '../transports/web-body.ts'
import { applyWebQuery } from './apply-query.ts'
import { checkWebRequest } from './check-request.ts'
import { webContentEncoding } from './content-encoding.ts'
import { disconnectOnAbort } from './disconnect-on-abort.ts'
import { notAcceptableText } from './formats.ts'
import { checkHandler, runHandler, type SseHandler } from './handler.ts'
import { preambleOf, webHeaders } from './head.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from './options.ts'
import { settingsFor } from './representation.ts'
import { earlyResponse, openWebPoll, type WebPoll } from './web-poll.ts'

/**
 * Returns a web `Response` whose body is an event stream, and calls the handler with the stream and the request. The
 * response is 406 if the client accepts no format of the route, and has no body for a HEAD request. The response to a long
 * poll has no `Content-Length`, because it is returned before its events are known; `sse` of `spillway/web` sends one.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, `ERR_SSE_HANDLER` or `ERR_SSE_REQUEST`, and errors that the handler throws
 * synchronously. A later error of the handler destroys the stream and is passed to its `close` event.
 */
export function createSseResponse<Events extends EventMap = AnyEvents>(
  request: Request,
  handler: SseHandler<readonly [request: Request], Events>,
  options?: SseStreamOptions<Events>,
): Response {
  const settings = resolveOptions(options)
  checkHandler(handler)
  const { response, stream, poll } = openResponse(request, settings)
  // The `close` event of the stream reports a rejection.
  if (stream) runHandler(stream, handler, [request]).catch(() => {})
  return poll ? earlyResponse(poll) : response
}

/** A response and the stream that is its body. There is no stream for a 406 and for a HEAD request. */
export interface WebAnswer {
  /** For a long poll, only the status and headers of the response. */
  readonly response: Response
  readonly stream?: SseStream
  readonly poll?: WebPoll
}

/**
 * Creates a response and its stream. With `onBegin`, the stream writes from its first event or `_begin` on, and `onBegin` is
 * called before. Throws `SseError` `ERR_SSE_REQUEST`.
 */
export function openResponse(request: Request, routeSettings: Settings, onBegin?: () => void): WebAnswer {
  checkWebRequest(request)
  const settings = settingsFor(routeSettings, request.headers.get('accept'), request.url)
  if (!settings) return { response: notAcceptable(request, routeSettings) }
  // Create the response first, because it may throw and the clock holds a reference to every open stream.
  const encoding = webContentEncoding(request, settings)
  // Cloudflare Workers would compress the body again.
  const manual = encoding && { encodeBody: 'manual' }
  const init = { status: settings.status, headers: webHeaders(settings, encoding), ...manual }
  if (request.method === 'HEAD') return { response: new Response(null, init) }
  if (settings.poll) {
    const poll = openWebPoll(request, settings, new Response(null, init), onBegin)
    return { response: poll.response, stream: poll.stream, poll }
  }
  const preamble = preambleOf(settings)
  const body = new WebTransport(encoding ? '' : preamble)
  const response = new Response(body.body, init)
  // Not before it is needed, because the handler may respond otherwise.
  const open = () => compress(body, encoding, preamble)
  const begin = () => {
    onBegin?.()
    return open()
  }
  const stream = SseStream._open(onBegin ? begin : open(), settings, resumePointOfWeb(request))
  applyWebQuery(stream, settings, request)
  disconnectOnAbort(request.signal, body, stream)
  return { response, stream }
}

// RFC 9110 15.5.7, 9.3.2.
function notAcceptable({ method }: Request, settings: Settings): Response {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', Vary: 'Accept' }
  return new Response(method === 'HEAD' ? null : notAcceptableText(settings), { status: 406, headers })
}
