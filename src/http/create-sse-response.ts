import type { AnyEvents, EventMap } from '../event/event.ts'
import { SseStream } from '../stream/stream.ts'
import { WebTransport } from '../transports/web-body.ts'
import { acceptsEventStream } from './accept.ts'
import { checkWebRequest } from './check-request.ts'
import { checkHandler, runHandler, type SseHandler } from './handler.ts'
import { NOT_ACCEPTABLE, preamble, webHeaders } from './head.ts'
import { resumePointOfWeb } from './last-event-id.ts'
import { resolveOptions, type Settings, type SseStreamOptions } from './options.ts'

/**
 * Returns a web `Response` whose body is an event stream, and calls the handler with the stream and the request. The
 * response is 406 if the client refuses event streams, and has no body for a HEAD request.
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
  const { response, stream } = openResponse(request, settings)
  // The `close` event of the stream reports a rejection.
  if (stream) runHandler(stream, handler, [request]).catch(() => {})
  return response
}

/** A response and the stream that is its body. There is no stream for a 406 and for a HEAD request. */
export interface WebAnswer {
  readonly response: Response
  readonly stream?: SseStream
}

/**
 * Creates a response and its stream. With `onBegin`, the stream writes from its first event or `_begin` on, and `onBegin` is
 * called before. Throws `SseError` `ERR_SSE_REQUEST`.
 */
export function openResponse(request: Request, settings: Settings, onBegin?: () => void): WebAnswer {
  checkWebRequest(request)
  const { status } = settings
  if (!acceptsEventStream(request.headers.get('accept'), settings.negotiate))
    return { response: notAcceptable(request) }
  const init = { status, headers: webHeaders(settings) }
  if (request.method === 'HEAD') return { response: new Response(null, init) }
  const transport = new WebTransport(settings.preamble ? preamble(settings.retry) : '')
  // Create the response first, because it may throw and the clock holds a reference to every open stream.
  const response = new Response(transport.body, init)
  const begin = () => {
    onBegin?.()
    return transport
  }
  const stream = SseStream._open(onBegin ? begin : transport, settings, resumePointOfWeb(request))
  disconnectOnAbort(request.signal, transport, stream)
  return { response, stream }
}

// RFC 9110 15.5.7, 9.3.2.
function notAcceptable({ method }: Request): Response {
  const headers = { 'Content-Type': 'text/plain; charset=utf-8', Vary: 'Accept' }
  return new Response(method === 'HEAD' ? null : NOT_ACCEPTABLE, { status: 406, headers })
}

function disconnectOnAbort(
  signal: AbortSignal | undefined,
  transport: WebTransport,
  stream: SseStream,
): void {
  const onAbort = () => {
    // A transport that is not open does not report the disconnect.
    stream._begin()
    transport.disconnect()
  }
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  stream._addCloseTarget({ _streamClosed: () => signal?.removeEventListener('abort', onAbort) })
}
